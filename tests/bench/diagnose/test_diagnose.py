"""Real diagnoses measure the stages that the loader has."""

import json
import os
import platform
import signal
import subprocess
import sys
from datetime import datetime

import pytest

from feedbench.bench.diagnose import measure
from feedbench.bench.diagnose.fixed import best_fixed
from feedbench.bench.diagnose.measure import diagnose
from feedbench.bench.diagnose.record import RECORD, read_diagnosis
from feedbench.bench.diagnose.setup import DiagnosisPlan, DiagnosisTiming
from feedbench.bench.diagnose.verdict import derive_diagnosis
from feedbench.bench.errors import InterruptedRun, PlanError, RecordError, TrialError
from feedbench.bench.plan.accelerators import accelerator_of
from feedbench.bench.plan.plan import Choice
from feedbench.bench.trials.child import Child
from feedbench.bench.trials.protocol import (
    TRIAL_WORKER,
    BlockDone,
    BlockRequest,
    TrialJob,
    WarmUpDone,
)
from feedbench.loaders import BatchSpec, scan
from feedbench.trainer import Recipe

STAGES = {"storage", "decoding", "transform", "batch copy"}
# In a process of its own, with Python's handler of Ctrl-C, whatever these tests inherited.
PROGRAM = """
import functools, signal
signal.signal(signal.SIGINT, signal.default_int_handler)
from feedbench.bench.diagnose import selftest, setup
from feedbench.bench.cli import main
selftest._BLOCK_S = 0.06
setup.DiagnosisTiming = functools.partial(
    setup.DiagnosisTiming,
    stage_s=0.05,
    block_s=0.4,
    end_to_end_s=0.4,
    warm_up_s=0.1,
    model_s=0.3,
)
main()
"""
COMMAND = [sys.executable, "-c", PROGRAM, "diagnose"]


@pytest.mark.parametrize(
    ("loader", "settings", "expected"),
    [
        ("turbo", {}, ("storage", "decoding", "transform")),
        ("turbo", {"cache": "decoded"}, ("batch copy",)),
        ("packed", {"pack": "arrays"}, ("storage",)),
    ],
    ids=str,
)
@pytest.mark.usefixtures("beside_packs")
def test_only_the_stages_of_the_loader_are_measured(
    loader, settings, expected, splits_folder, tmp_path
):
    timing = DiagnosisTiming(
        0.05, block_s=0.1, end_to_end_s=0.1, warm_up_s=0.1, rounds=3, budget_s=60
    )
    plan = DiagnosisPlan(
        choice=Choice(loader=loader, settings=settings),
        spec=BatchSpec(batch_size=8, image_size=32),
        recipe=Recipe(),
        consumer="emulated:rtx3090",
        accelerator=accelerator_of("emulated:rtx3090"),
        images=12,
    )
    (tmp_path / "out").mkdir()
    manifest = scan(splits_folder).only("train")
    record = diagnose(plan, manifest, tmp_path / "out", print, timing)
    assert (record.images, record.sampled) == (len(manifest), 12)
    assert (record.kind, record.workers) == ("threads", record.cores)
    assert record.locked is None or (settings != {"cache": "decoded"} and record.locked <= 1)
    assert {part.name for part in record.parts} & STAGES == set(expected)
    assert [part.error for part in record.parts if part.error] == []
    assert all(part.blocks for part in record.parts)
    cold = {part.cache_state for part in record.parts} & {"cold"}
    assert not cold or (loader, settings) == ("turbo", {})
    causes = {part.cause for part in derive_diagnosis(record).shares}
    assert ("decoding" in causes) <= ("decoding" in expected)


def test_cold_is_refused_for_a_loader_that_reads_no_files(tiny_photos, tmp_path):
    plan = DiagnosisPlan(
        choice=Choice(loader="turbo", settings={"cache": "decoded"}),
        spec=BatchSpec(batch_size=8, image_size=32),
        recipe=Recipe(),
        consumer="train",
        accelerator=None,
        cache_state="cold",
    )
    with pytest.raises(PlanError, match="with its cache full the loader reads no files"):
        diagnose(plan, scan(tiny_photos).only("train"), tmp_path, print)


def test_a_record_that_cannot_be_written_leaves_no_process(tiny_photos, tmp_path, monkeypatch):
    plan = DiagnosisPlan(
        choice=Choice(loader="turbo"),
        spec=BatchSpec(batch_size=8, image_size=32),
        recipe=Recipe(),
        consumer="train",
        accelerator=None,
    )
    folder, closed = tmp_path / "out", []
    folder.mkdir()

    def take_away(session):
        folder.rename(tmp_path / "elsewhere")
        folder.write_text("a file in its place")

    monkeypatch.setattr(measure._Session, "measure", take_away)
    monkeypatch.setattr(measure._Session, "close", lambda session: closed.append(session))
    with pytest.raises(RecordError, match=RECORD):
        diagnose(plan, scan(tiny_photos).only("train"), folder, print)
    assert len(closed) == 1


def test_the_copy_to_a_device_is_timed(tiny_photos, tmp_path):
    manifest = scan(tiny_photos).only("train")
    manifest.write(tmp_path / "manifest.parquet")
    job = TrialJob(
        manifest=tmp_path / "manifest.parquet",
        loader="synthetic",
        settings={"output": "float32"},
        spec=BatchSpec(batch_size=8, image_size=32),
        consumer="transfer",
        device="CPU:0",
        warm_up_s=0.1,
    )
    with Child(TRIAL_WORKER, job, tmp_path / "log") as child:
        child.wait_for(WarmUpDone, 120, "warm-up")
        block = child.ask(BlockRequest(seconds=0.2), BlockDone, 120, "a block").block
    assert block.images == 8 * len(block.step_s)
    missing = job.model_copy(update={"device": "GPU:7"})
    with (
        Child(TRIAL_WORKER, missing, tmp_path / "log") as child,
        pytest.raises(TrialError, match="GPU:7"),
    ):
        child.wait_for(WarmUpDone, 120, "warm-up")


@pytest.fixture
def run_diagnose(tiny_photos, tmp_path):
    """A function: run the command with a loader, and return the folder that it wrote."""

    def run(loader):
        (tmp_path / "best.toml").write_text(
            f"""loader = "{loader}"
            spec = {{batch_size = 8, image_size = 64}}
            recipe = {{alpha = 0.5}}
            """
        )
        folder = tmp_path / "out"
        command = [*COMMAND, str(tiny_photos), "--loader", str(tmp_path), "--image-size", "32"]
        command += ["--consumer", "emulated:rtx3090", "--seconds", "1"]
        command += ["--out", str(folder), "--json", str(folder.with_suffix(".json"))]
        done = subprocess.run(command, check=False)
        assert done.returncode in (0, 1)  # 1: no verdict, on a busy machine
        return folder

    return run


def test_the_command_measures_every_part_and_writes_what_follows(run_diagnose, tiny_photos):
    folder = run_diagnose("tf_data")
    record = read_diagnosis(folder / RECORD)
    assert (record.spec["batch_size"], record.spec["image_size"]) == (8, 32)
    assert record.recipe["alpha"] == 0.5
    assert record.rows == scan(tiny_photos).only("train").fingerprint(sizes=True)
    assert record.machine["cores"] == record.cores
    assert record.versions["python"] == platform.python_version()
    names = {part.name for part in record.parts} - {"fixed"}
    assert names == STAGES | {"loader", "loader, other size", "consumer", "end to end"}
    assert [part.error for part in record.parts if part.error] == []
    assert min(len(part.blocks) for part in record.parts) >= 3
    fixed = [part.settings for part in record.parts if part.name == "fixed"]
    assert len(fixed) == 2
    diagnosis = derive_diagnosis(record)
    assert best_fixed(record) is not None
    written = json.loads(folder.with_suffix(".json").read_text())
    assert datetime.fromisoformat(written.pop("created")).tzinfo is not None
    assert written == json.loads(diagnosis.model_dump_json())
    assert_drawn_and_traced(folder, record)


def assert_drawn_and_traced(folder, record):
    assert (folder / "waterfall.png").read_bytes().startswith(b"\x89PNG")
    assert (folder / "timeline.png").read_bytes().startswith(b"\x89PNG")
    for part in record.parts[-3:]:  # a block in which the meter got no core has no sample
        assert any(block.host and block.host.cores for block in part.blocks), part.name
    events = json.loads((folder / "trace.json").read_text())["traceEvents"]
    steps = sum(len(block.step_s) for block in record.parts[-1].blocks)
    assert sum(event["name"] == "step" for event in events) == steps


def test_ctrl_c_keeps_what_was_measured(tiny_photos, tmp_path):
    folder = tmp_path / "out"
    command = [*COMMAND, str(tiny_photos), "--loader", "keras_pil", "--batch-size", "8"]
    command += ["--consumer", "emulated:rtx3090"]
    with subprocess.Popen(
        [*command, "--image-size", "32", "--seconds", "3600", "--out", str(folder)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        for line in process.stderr:
            if line.startswith("round 1"):
                break
        os.kill(process.pid, signal.SIGINT)
        printed, error = process.communicate(timeout=300)
    assert process.returncode == 130
    hint = f"a new run starts from the beginning; to see this one again: feedbench show {folder}"
    last = f"feedbench: interrupted; what was measured is in {folder}; {hint}\n"
    assert error.endswith(last)
    record = read_diagnosis(folder / RECORD)
    assert record.interrupted
    assert any(part.blocks for part in record.parts)
    assert best_fixed(record) is None
    assert record.self_test is not None
    words = " ".join(printed.split())
    assert "Incomplete: the diagnosis was interrupted; end to end has timed blocks: " in words
    assert list(folder.glob("tensorboard/* end to end, warm/events.*"))


def test_ctrl_c_before_the_first_block_leaves_a_record_that_says_so(tiny_photos, tmp_path):
    plan = DiagnosisPlan(
        choice=Choice(loader="turbo"),
        spec=BatchSpec(batch_size=8, image_size=32),
        recipe=Recipe(),
        consumer="emulated:rtx3090",
        accelerator=accelerator_of("emulated:rtx3090"),
    )

    def interrupt(event):
        raise KeyboardInterrupt

    with pytest.raises(InterruptedRun, match=f"what was measured is in {tmp_path}"):
        diagnose(plan, scan(tiny_photos).only("train"), tmp_path, interrupt)
    diagnosis = derive_diagnosis(read_diagnosis(tmp_path / RECORD))
    assert diagnosis.verdict.startswith("No verdict: the diagnosis was interrupted before loader")
    assert "decoding" in {ceiling.name for ceiling in diagnosis.ceilings}
