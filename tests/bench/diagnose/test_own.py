"""Real diagnoses of users' functions: what they open, their graph, and their mistakes."""

import tarfile
from dataclasses import replace
from io import StringIO
from textwrap import dedent

import pytest

from feedbench.bench.commands.run_diagnosis import print_diagnosis
from feedbench.bench.diagnose.measure import diagnose
from feedbench.bench.diagnose.own import observed
from feedbench.bench.diagnose.rates import rates_of
from feedbench.bench.diagnose.record import RECORD, read_diagnosis
from feedbench.bench.diagnose.setup import DiagnosisPlan, DiagnosisTiming
from feedbench.bench.diagnose.tf_graph.derive import mistakes_in
from feedbench.bench.diagnose.verdict import derive_diagnosis
from feedbench.bench.errors import TrialError
from feedbench.bench.plan.accelerators import accelerator_of
from feedbench.bench.plan.plan import Choice
from feedbench.bench.report.terminal import Terminal
from feedbench.loaders import BatchSpec, find_loader, scan
from feedbench.trainer import Recipe

PIPELINE = """
    from pathlib import Path

    import numpy as np

    def images(data, split, batch_size):
        paths = sorted(Path(data, split).glob("*/*"))
        while True:
            for path in paths:
                path.read_bytes()
                yield np.zeros((8, 8, 3), np.uint8), 0

    def make_dataset(data, split, batch_size):
        import tensorflow as tf

        signature = (tf.TensorSpec((8, 8, 3), tf.uint8), tf.TensorSpec((), tf.int32))
        found = tf.data.Dataset.from_generator(
            lambda: images(data, split, batch_size), output_signature=signature
        )
        return found.map(lambda image, label: (tf.image.random_flip_up_down(image), label)).batch(
            batch_size
        )

    def make_batches(data, split, batch_size):
        while True:
            for image, label in images(data, split, batch_size):
                yield np.stack([image] * batch_size), np.array([label] * batch_size)

    def failing():
        raise ValueError("not today")
"""
TIMING = DiagnosisTiming(
    0.05,
    block_s=0.1,
    end_to_end_s=0.1,
    warm_up_s=0.1,
    opened_s=0.2,
    model_s=0.8,
    rounds=3,
    budget_s=60,
)


@pytest.fixture
def diagnosed(tmp_path, monkeypatch, splits_folder):
    def run(function, on_event=print, **options):
        monkeypatch.chdir(tmp_path)
        (tmp_path / "pipeline.py").write_text(dedent(PIPELINE))
        (tmp_path / "out").mkdir()
        plan = DiagnosisPlan(
            choice=Choice(loader=f"pipeline.py:{function}"),
            spec=BatchSpec(batch_size=4, image_size=8),
            recipe=Recipe(),
            consumer="emulated:rtx3090",
            accelerator=accelerator_of("emulated:rtx3090"),
            cache_state="warm",
            images=12,
            **options,
        )
        manifest = replace(scan(splits_folder), source=splits_folder).only("train")
        record = diagnose(plan, manifest, tmp_path / "out", on_event, TIMING)
        assert read_diagnosis(tmp_path / "out" / RECORD) == record
        assert [part.error for part in record.parts if part.error] == []
        return record, len(manifest)

    return run


def _printed(record, diagnosis):
    text = StringIO()
    print_diagnosis(Terminal(file=text, width=400), record, diagnosis)
    return text.getvalue()


def assert_processes_are_announced(events):
    """Their number grows only where it was said that it may."""
    starting = [event for event in events if event.kind == "starting"]
    totals = [number + event.processes_left for number, event in enumerate(starting, 1)]
    assert [event.more_may_come for event in starting] == [True, *[False] * (len(starting) - 1)]
    assert totals[0] < totals[1]  # by the variants of the pipeline
    assert set(totals[1:]) == {len(starting)}


def test_a_function_that_fails_ends_the_diagnosis_before_anything_is_timed(diagnosed):
    events = []
    with pytest.raises(TrialError, match=r"loader: pipeline\.py, line 30, in failing: ValueError"):
        diagnosed("failing", events.append)
    assert events[-1].kind == "failed"
    assert events[-1].text.startswith("failed: ")
    assert "ValueError" not in events[-1].text  # the last line of the command has it
    assert not any(part.blocks for event in events for part in event.record.parts)


def test_mistakes_are_named_predicted_and_measured(diagnosed):
    events = []
    record, images = diagnosed("make_dataset", events.append, rewrite=True)
    assert_processes_are_announced(events)
    assert record.own.function == "make_dataset"
    assert (record.images, record.sampled) == (images, None)
    assert 0 < record.observed.opened.listed <= images
    graph = record.observed.graph
    assert [stage.method for stage in graph.stages] == ["from_generator", "map", "batch"]
    parts = {part.name for part in record.parts if part.blocks}
    assert {"storage", "loader", "reference", "consumer", "end to end", "rewritten"} <= parts
    diagnosis = derive_diagnosis(record)
    mistakes = {mistake.name: mistake for mistake in mistakes_in(record)}
    assert set(mistakes) == {"from_generator", "serial map", "no prefetch"}
    assert all(mistake.gain is not None for mistake in mistakes.values())
    assert mistakes["serial map"].tried is not None
    assert mistakes["from_generator"].tried is None
    assert not mistakes["from_generator"].upper_bound
    assert "random_flip_up_down" in mistakes["serial map"].text
    text = _printed(record, diagnosis)
    assert "Mistakes, and what to write instead" in text
    assert f"pipeline.py:{mistakes['serial map'].line}  serial map: " in text
    assert "    line:  return found.map(" in text
    assert "end to end without: serial map" in text


def test_an_iterable_has_no_graph_and_its_first_batch_shows_the_consumer(diagnosed):
    record, images = diagnosed("make_batches")
    assert 0 < record.observed.opened.listed <= images
    assert (record.observed.graph, record.observed.why_no_graph) == (None, None)
    assert "rewritten" not in {part.name for part in record.parts}
    diagnosis = derive_diagnosis(record)
    assert rates_of(record) is not None
    assert diagnosis.mistakes == []
    assert "of the listed files" in _printed(record, diagnosis)


def test_of_shards_the_files_that_were_opened_are_counted(tmp_path, monkeypatch, splits_folder):
    source = tmp_path / "data" / "photos.tar"
    source.parent.mkdir()
    with tarfile.open(source, "w") as tar:
        tar.add(splits_folder / "train", "photos")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "shards.py").write_text(
        "import numpy as np\n"
        "def make(data):\n"
        "    while True:\n"
        "        data.read_bytes()\n"
        "        yield np.zeros((4, 8, 8, 3), np.uint8), np.zeros(4, int)\n"
    )
    manifest = replace(scan(source), source=source).only("train")
    loader = find_loader("shards.py:make")
    seen = observed(
        loader, manifest, BatchSpec(batch_size=4, image_size=8), loader.settings(), 0.1, 0.1
    )
    assert (seen.opened.listed, seen.opened.others, seen.opened.error) == (1, 0, None)
