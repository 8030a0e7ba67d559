"""Each worker's part of a training on several machines: recorded, printed, and on the page."""

import json
from pathlib import Path

import pytest

from feedbench.bench.html.kinds import report_of
from feedbench.bench.html.parts import Code
from feedbench.bench.results.kinds import TrainingResult
from feedbench.bench.training.model_card import model_card
from feedbench.bench.training.outcome import together, together_sentence
from feedbench.bench.training.part import trained_since
from feedbench.bench.training.shape import fault
from feedbench.bench.training.table import parts
from feedbench.bench.training.workers_table import machine
from feedbench.trainer import Epoch, Position

PUBLISHED = Path(__file__).parents[3] / "results" / "clothing-training" / "tuned"


def worker(number, **values):
    return {
        "worker": number,
        "address": f"10.0.0.{number + 1}:4711",
        "images": 4_602,
        "images_per_second": 61.5,
        "wait_share": 0.25 * number,
        "cpu_s": 120.4,
        "disk_read_bytes": None if number else 5_000_000,
        "peak_memory_bytes": 1_500_000_000,
        "dropped": [{"path": "a.jpg", "row": 1, "reason": "cut"}] if number else [],
        "epochs": [{"epoch": 1, "train_s": 70.0, "wait_s": 7.0}],
        "machine": {"processor": "EPYC", "cores": 2 + number, "gpus": ["A100"] if number else []},
        **values,
    }


@pytest.fixture
def result():
    """The record of a training, as if two workers had trained it."""
    values = json.loads((PUBLISHED / "training.json").read_text())
    return {**values, "devices": "1", "workers": [worker(0), worker(1)]}


def test_every_worker_has_a_row_of_its_own(result, printed):
    text = printed(*parts(result))
    (chief,) = [line for line in text.splitlines() if "10.0.0.1:4711" in line]
    (other,) = [line for line in text.splitlines() if "10.0.0.2:4711" in line]
    for figure in ("0 (chief)", "4,602", "62", "0%", "120 s", "1.50 GB", "5 MB", "2 cores of"):
        assert figure in chief
    for figure in ("25%", "A100", "3 cores of EPYC"):
        assert figure in other
    size = result["spec"]["batch_size"]
    assert f"Trained on 2 workers, each with {size // 2} of the {size} images of a batch." in text


def test_a_machine_with_one_core_has_one_core():
    facts = {"processor": "EPYC", "cores": 1, "gpus": []}
    assert machine(worker(0, machine=facts)) == "1 core of EPYC"


def test_the_table_fits_into_80_columns(result, printed):
    text = printed(*parts(result), width=80)
    table = [line for line in text.splitlines() if "10.0.0." in line]
    assert len(table) == 2
    assert all(len(line) <= 80 and "4,602" in line and "…" not in line for line in table)


def test_the_page_has_a_section_of_workers_and_how_to_train_again(result, tmp_path):
    report = report_of(TrainingResult(tmp_path / "training.json", result))
    (section,) = [one for one in report.sections if one.anchor == "workers"]
    chart, table = section.parts
    assert chart.title == "Worker 1 waits longest for batches: 25.0% of the time"
    assert [row[0] for row in table.rows] == ["0 (chief)", "1"]
    assert "Trained on 2 workers" in report.headline.sentence
    (again,) = [part.text for part in report.sections[-1].parts if isinstance(part, Code)]
    assert "--cluster hosts.toml" in again


def test_a_training_on_one_machine_has_neither(result, printed, tmp_path):
    for alone in ({**result, "workers": []}, json.loads((PUBLISHED / "training.json").read_text())):
        report = report_of(TrainingResult(tmp_path / "training.json", alone))
        assert "workers" not in [one.anchor for one in report.sections]
        assert "Trained on" not in printed(*parts(alone))
        assert "worker" not in model_card(alone)


def test_the_card_names_each_machine(result):
    card = model_card(result)
    assert "| worker 0 (chief) | 10.0.0.1:4711: 2 cores of EPYC |" in card
    assert "| worker 1 | 10.0.0.2:4711: 3 cores of EPYC, A100 |" in card


@pytest.mark.parametrize(
    ("devices", "workers", "text"),
    [
        ("1", 1, ""),
        ("cpu:1", 1, ""),
        ("4", 1, "4 GPUs, each with 16 of the 64 images of a batch"),
        ("cpu:2", 1, "2 logical devices of the CPU, each with 32 of the 64 images of a batch"),
        ("1", 2, "2 workers, each with 32 of the 64 images of a batch"),
    ],
)
def test_who_trains_together_is_said_with_the_images_of_each(devices, workers, text):
    assert together(devices, workers, 64) == text


def test_older_records_say_nothing_of_devices(result):
    older = {name: result[name] for name in result if name not in ("devices", "workers")}
    assert together_sentence(older) == ""


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"workers": [worker(0, images="many")]}, "workers.0.images"),
        ({"workers": [worker(0, machine={})]}, "workers.0.machine"),
        ({"devices": "two"}, "devices"),
    ],
)
def test_a_damaged_part_is_named(result, values, said):
    assert fault(result) == ""
    assert said in fault({**result, **values})


def epoch(number, images=100, train_s=10.0, wait_s=2.0):
    return Epoch(number, images, train_s, wait_s, 0.1, 1.0, 0.5, 1.0, 0.5)


def test_the_part_of_a_worker_begins_where_it_resumed():
    begin = Position(epoch=2, epoch_images=40, train_s=4.0, wait_s=1.5, history=(epoch(1),))
    first, second = trained_since(begin, [epoch(1), epoch(2), epoch(3)])
    assert (first.images, first.train_s, first.wait_s) == (60, 6.0, 0.5)
    assert second == epoch(3)


def test_a_worker_that_resumes_after_the_last_epoch_has_no_part():
    assert trained_since(Position(epoch=2, history=(epoch(1),)), [epoch(1)]) == []
