"""The trace and the plot of real blocks over time."""

import itertools
import json
import sys
import time
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from feedbench.bench.analysis.device import emulated_busy, idle_share, known_idle
from feedbench.bench.cli import main
from feedbench.bench.meters.block import Meters
from feedbench.bench.record import Block, Gpu, Host
from feedbench.bench.report.subject import Subject
from feedbench.bench.report.timeline import draw_timeline
from feedbench.bench.report.trace import trace, trace_text
from feedbench.bench.trials.block import timed_block
from feedbench.bench.trials_file import write_trials
from feedbench.loaders import Batch

THROTTLED = Gpu(
    index=0,
    at_s=[0.2, 0.4],
    utilization=[0.97, None],
    multiprocessors=[0.3, 0.3],
    power_w=[240.0, 250.0],
    pcie_rx_bytes_per_s=[10**8, 10**8],
    sm_clock_mhz=[1_400, 1_000],
    clock_reasons=[0x1, 0x4],
)


class Slow:
    """A consumer with steps of 10 ms, whose device needs another 30 ms at the end."""

    def step(self, batch: Batch) -> None:
        time.sleep(0.01)

    def finish(self) -> None:
        time.sleep(0.03)


def batches() -> Iterator[Batch]:
    while True:
        time.sleep(0.005)
        yield Batch(np.zeros((4, 1, 1, 3), np.uint8), np.zeros(4, np.int32), np.arange(4))


@pytest.fixture(scope="module")
def blocks() -> list[Block]:
    """Two real blocks with their meter readings."""
    measured = []
    for round_index in range(2):
        with Meters([]) as meters:
            timed = timed_block(batches(), Slow(), 0.7)
        measured.append(meters.complete(timed, round_index))
    return measured


def of(events: list[dict], **wanted) -> list[dict]:
    return [event for event in events if wanted.items() <= event.items()]


def test_the_events_of_a_block_fill_its_duration_without_gaps(blocks):
    events = trace({"slow": blocks})["traceEvents"]
    wholes = of(events, ph="X", tid=1)
    assert [one["name"] for one in wholes] == ["block 1", "block 2"]
    for block, whole in zip(blocks, wholes, strict=True):
        end = whole["ts"] + whole["dur"]
        inside = [one for one in of(events, ph="X", tid=2) if whole["ts"] <= one["ts"] < end]
        assert sum(one["dur"] for one in inside) == whole["dur"] == round(block.seconds * 1e6)
        assert all(a["ts"] + a["dur"] == b["ts"] for a, b in itertools.pairwise(inside))
        steps = [one for one in inside if one["name"] == "step"]
        assert [one["args"]["step"] for one in steps] == list(range(1, len(block.step_s) + 1))
        assert sum(one["dur"] for one in steps) / 1e6 == pytest.approx(sum(block.step_s), abs=1e-4)
        assert inside[-1]["name"] == "finish"
        assert inside[-1]["dur"] >= 30_000 - 1_000
    assert blocks[1].began - blocks[0].began == pytest.approx(
        (wholes[1]["ts"] - wholes[0]["ts"]) / 1e6, abs=1e-5
    )


def test_every_event_has_the_keys_of_its_kind(blocks):
    blocks = [blocks[0].model_copy(update={"gpus": [THROTTLED]}), blocks[1]]
    content = json.loads(trace_text({"slow": blocks, "again": blocks}))
    assert content == trace({"slow": blocks, "again": blocks})
    for event in content["traceEvents"]:
        assert {"ph", "pid", "tid", "ts", "name"} <= event.keys()
        assert isinstance(event["ts"], int)
        assert event["ts"] >= 0
        assert event["ph"] != "X" or event["dur"] >= 0
        assert event["ph"] != "C" or list(event["args"]) == ["value"]
    names = of(content["traceEvents"], ph="M", name="process_name")
    assert [event["args"]["name"] for event in names] == ["slow", "again"]
    throttling = of(content["traceEvents"], pid=1, name="GPU 0 reasons for throttling")
    assert [event["args"]["value"] for event in throttling] == [0, 1]
    assert [event["ts"] for event in throttling] == [0, 200_000]
    assert len(of(content["traceEvents"], pid=1, name="GPU 0 busy")) == 1


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_the_counters_of_the_machine_lie_within_their_block(blocks):
    events = trace({"slow": blocks})["traceEvents"]
    counters = of(events, ph="C", name="disk read bytes/s")
    assert len(counters) == sum(len(block.host.at_s) for block in blocks) >= 2
    spans = [(block["ts"], block["ts"] + block["dur"]) for block in of(events, ph="X", tid=1)]
    assert all(any(a <= counter["ts"] < b for a, b in spans) for counter in counters)


def test_blocks_without_a_time_of_beginning_are_placed_one_after_the_other(blocks):
    old = [block.model_copy(update={"began": None, "host": None}) for block in blocks]
    first, second = of(trace({"old": old})["traceEvents"], ph="X", tid=1)
    assert (first["ts"], second["ts"]) == (0, first["dur"])


SUBJECT = Subject("slow", "the trainer", "8 images → $\\frac$, batch 4")
EMULATED = replace(SUBJECT, consumer="an emulated A100", seconds_per_image=0.001)


def test_the_plot_has_a_row_for_each_meter_with_readings(blocks, tmp_path, pictures):
    without = [block.model_copy(update={"host": None}) for block in blocks]
    with_gpu = [block.model_copy(update={"gpus": [THROTTLED]}) for block in blocks]
    for name, some in (("bare", without), ("host", blocks), ("gpu", with_gpu)):
        draw_timeline(some, tmp_path / f"{name}.png", SUBJECT)
    bare, host, gpu = (len(figure.axes) for figure in pictures.saved)
    assert bare == 1
    assert gpu == host + 4
    if sys.platform == "linux":
        assert host >= 2  # the cores, and disk and page faults unless they stayed at zero
    assert not [fault for figure in pictures.saved for fault in pictures.faults(figure)]


def test_the_device_has_a_lane_if_its_steps_are_known(blocks, tmp_path, pictures):
    draw_timeline(blocks, tmp_path / "known.png", EMULATED)
    draw_timeline(blocks, tmp_path / "unknown.svg", SUBJECT)
    known, unknown = map(pictures.texts, pictures.saved)
    assert {"device", "device busy", "device idle"} <= set(known)
    assert "device" not in unknown
    assert known[0].startswith("An emulated A100 idles")
    assert unknown[0].startswith("The trainer waits")


def test_an_emulated_device_is_busy_from_a_batch_to_the_end_of_its_step():
    block = Block(seconds=1.0, images=30, wait_s=[0.1, 0.1, 0.5], step_s=[0.0] * 3)
    assert emulated_busy(block, 0.02).tolist() == [
        [pytest.approx(0.1), pytest.approx(0.5)],  # the second batch came during the first step
        [pytest.approx(0.7), pytest.approx(0.9)],
    ]
    assert idle_share([block], 0.02) == pytest.approx(0.4)
    assert idle_share([block], None) is None
    fit = block.model_copy(update={"idle_s": [0.0, 0.05, 0.4]})
    assert known_idle(fit).tolist() == [pytest.approx([0.15, 0.2]), pytest.approx([0.3, 0.7])]
    assert idle_share([fit], None) == pytest.approx(0.45)


def test_what_stays_at_zero_is_said_and_not_drawn(blocks, tmp_path, pictures):
    host = Host(at_s=[0.5], disk_read_bytes_per_s=[0], minor_faults_per_s=[1000])
    draw_timeline([blocks[0].model_copy(update={"host": host})], tmp_path / "a.png", SUBJECT)
    (figure,) = pictures.saved
    assert "Zero throughout: disk read." in pictures.texts(figure)
    assert [axes.get_ylabel() for axes in figure.axes] == ["", "page faults\n1,000/s"]


def test_the_labels_of_many_blocks_do_not_overlap(blocks, tmp_path, pictures):
    draw_timeline([*blocks] * 10, tmp_path / "many.png", EMULATED)
    assert pictures.faults(pictures.saved[0]) == []


def test_throttling_is_shaded_and_idling_is_not(blocks, tmp_path, pictures):
    for reason in (0x1, 0x4):
        gpu = THROTTLED.model_copy(update={"clock_reasons": [0x1, reason]})
        with_gpu = [block.model_copy(update={"gpus": [gpu]}) for block in blocks]
        draw_timeline(with_gpu, tmp_path / "gpu.png", SUBJECT)
    idle, throttled = (" ".join(pictures.texts(figure)) for figure in pictures.saved)
    assert "clocks reduced" not in idle
    assert "clocks reduced" in throttled


def test_show_plots_one_trial_and_traces_all(blocks, trial, tmp_path, monkeypatch, capsys):
    trials = [trial("keras_pil", [1.0]), trial("turbo", []), trial("tf_data", [2.0])]
    trials[1] = trials[1].model_copy(update={"error": "out of memory"})
    trials[2] = trials[2].model_copy(update={"blocks": blocks})
    spec = {"image_size": 8, "batch_size": 4, "resize": "stretch", "interpolation": "nearest"}
    fields = {"spec": spec, "recipe": {"alpha": 1.0}}
    write_trials(tmp_path, [trial.model_copy(update=fields) for trial in trials])

    def show(*options: object) -> int:
        monkeypatch.setattr(sys, "argv", ["feedbench", "show", *map(str, [tmp_path, *options])])
        with pytest.raises(SystemExit) as ended:
            main()
        return int(ended.value.code or 0)

    pictures = tmp_path / "chosen.png", tmp_path / "third.png", tmp_path / "first.png"
    assert show("--timeline", pictures[0], "--trace", tmp_path / "trace.json") == 0
    assert show("--timeline", pictures[1], "--trial", 3) == 0
    assert show("--timeline", pictures[2], "--trial", 1) == 0
    assert pictures[0].read_bytes() == pictures[1].read_bytes() != pictures[2].read_bytes()
    events = json.loads((tmp_path / "trace.json").read_text())["traceEvents"]
    assert len(of(events, name="process_name")) == 3
    capsys.readouterr()
    assert show("--timeline", pictures[0], "--trial", 4) == 2
    assert "--trial 4: the record has 3" in capsys.readouterr().err
    assert show("--timeline", pictures[0], "--trial", 2) == 2
    assert "trial 2 has no timed block" in capsys.readouterr().err
    assert show("--timeline", tmp_path / "none" / "a.png") == 2
    assert "name another file" in capsys.readouterr().err
