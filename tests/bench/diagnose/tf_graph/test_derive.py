"""Mistakes and their gains derived from records."""

from io import StringIO

import pytest

from feedbench.bench.commands.run_diagnosis import print_diagnosis
from feedbench.bench.diagnose.notes import notes
from feedbench.bench.diagnose.own import Observed, Opened
from feedbench.bench.diagnose.record import Part
from feedbench.bench.diagnose.tf_graph.align import aligned
from feedbench.bench.diagnose.tf_graph.graph import Graph
from feedbench.bench.diagnose.tf_graph.model_run import ChainNode, ModelRun
from feedbench.bench.diagnose.tf_graph.stages import GraphStage
from feedbench.bench.diagnose.verdict import derive_diagnosis
from feedbench.bench.report.terminal import Terminal

STAGES = [
    GraphStage(method="list_files", file="pipeline.py", line=3, text="files = list_files()"),
    GraphStage(method="map", file="pipeline.py", line=4, text=".map(load)", random=True),
    GraphStage(method="batch", file="pipeline.py", line=5, text=".batch(32)", batched=True),
]


def _graph(stages=STAGES, map_s=0.005):
    nodes = [ChainNode(name="Shuffle"), ChainNode(name="Map"), ChainNode(name="BatchV2")]
    own = dict(zip(("Shuffle", "Map", "BatchV2"), (0.0, map_s, 0.0), strict=True))
    plain = [node.model_copy(update={"own_s": own[node.name]}) for node in nodes]
    return Graph(
        stages=stages,
        as_is=ModelRun(nodes=nodes, images=200, seconds=1.0, cpu_s=1.0),
        plain=ModelRun(nodes=plain, images=200, seconds=1.0, cpu_s=1.0),
    )


@pytest.fixture
def record_of(make_record, without):
    def make(graph, *parts):
        record = make_record(loader=200, consumer=1_000, end_to_end=1 / (1 / 200 + 1 / 1_000))
        record = without(record, "decoding", "transform", "batch copy")
        observed = Observed(opened=Opened(listed=200), graph=graph)
        update = {"observed": observed, "parts": [*record.parts, *parts]}
        return record.model_copy(update=update)

    return make


def test_gains_are_predicted_from_the_record_and_compared_with_what_was_tried(
    record_of, make_blocks
):
    tried = Part(name="rewritten", mistake="serial map", stage=1, blocks=make_blocks(380))
    diagnosis = derive_diagnosis(record_of(_graph(), tried))
    found = {mistake.name: mistake for mistake in diagnosis.mistakes}
    assert set(found) == {"serial map", "no prefetch"}
    both_cores_s = (5 + 1) / 2  # of loader and consumer
    assert found["serial map"].gain == pytest.approx(6 / both_cores_s - 1, rel=0.02)
    assert found["no prefetch"].gain == pytest.approx(6 / 5 - 1, rel=0.02)
    assert found["serial map"].tried.value == pytest.approx(380 / (1_000 / 6), rel=0.02)
    assert found["serial map"].outcome == "faster"
    assert found["no prefetch"].tried is None
    assert diagnosis.gain_of_all == pytest.approx(6 / both_cores_s - 1, rel=0.02)
    assert "In your pipeline: line 4: serial map (+128%, measured)" in diagnosis.verdict
    assert "None of the changes" not in diagnosis.verdict


def test_a_measured_gain_that_is_not_certain_is_named_as_such(record_of, make_blocks):
    uneven = zip(make_blocks(300), (0.3, 1.0, 2.5), strict=True)
    blocks = [one.model_copy(update={"images": round(one.images * by)}) for one, by in uneven]
    tried = Part(name="rewritten", mistake="serial map", stage=1, blocks=blocks)
    diagnosis = derive_diagnosis(record_of(_graph(), tried))
    (found,) = [mistake for mistake in diagnosis.mistakes if mistake.name == "serial map"]
    assert found.outcome != "faster"
    assert "serial map (+80%, measured, but not certain)" in diagnosis.verdict


def test_what_was_tried_without_several_mistakes_is_one_family_of_comparisons(record_of):
    """Alone, 13 % more than the pipeline as it is would be certain."""
    both = next(part for part in record_of(_graph()).parts if part.name == "end to end")

    def tried(name, *ratios):
        blocks = [
            block.model_copy(update={"seconds": block.seconds / ratio})
            for block, ratio in zip(both.blocks, ratios, strict=True)
        ]
        return Part(name="rewritten", mistake=name, stage=1, cache_state="warm", blocks=blocks)

    def outcome(*parts):
        found = derive_diagnosis(record_of(_graph(), *parts)).mistakes
        return next(one.outcome for one in found if one.name == "serial map")

    faster = tried("serial map", 1.10, 1.13, 1.16)
    others = [tried(name, 0.97, 1.03, 1.0) for name in ("no prefetch", "no cache", "late cache")]
    assert outcome(faster) == "faster"
    assert outcome(faster, *others) == "tie"


def test_python_per_image_is_replaced_by_the_measured_reference(record_of, make_blocks):
    stages = [STAGES[0], STAGES[1].model_copy(update={"python": True, "parallel": 2}), STAGES[2]]
    (mistake,) = _python(record_of(_graph(stages)))
    assert (mistake.upper_bound, mistake.gain) == (True, pytest.approx(6 / 3 - 1, rel=0.02))
    reference = Part(name="reference", cache_state="warm", blocks=make_blocks(500, 2.0, "warm"))
    (mistake,) = _python(record_of(_graph(stages), reference))
    assert (mistake.upper_bound, mistake.gain) == (False, pytest.approx(6 / 2.5 - 1, rel=0.02))


def _python(record):
    mistakes = derive_diagnosis(record).mistakes
    return [mistake for mistake in mistakes if mistake.name == "Python per image"]


def test_what_tf_data_does_by_itself_is_advice(record_of):
    graph = _graph()
    nodes = [
        ChainNode(name="Shuffle"),
        ChainNode(name="MapAndBatch", parameters={"parallelism": 2.0}),
        ChainNode(name="Prefetch", parameters={"buffer_size": 2.0}),
    ]
    as_is = graph.as_is.model_copy(update={"nodes": nodes})
    record = record_of(graph.model_copy(update={"as_is": as_is}))
    diagnosis = derive_diagnosis(record)
    assert {mistake.name for mistake in diagnosis.mistakes} == {"serial map", "no prefetch"}
    assert all(mistake.advice and mistake.gain == 0 for mistake in diagnosis.mistakes)
    text = StringIO()
    print_diagnosis(Terminal(file=text, width=300), record, diagnosis)
    assert "tf.data adds a prefetch by itself" in text.getvalue()
    assert "MapAndBatch, parallelism 2" in text.getvalue()
    assert "(added by tf.data)" in text.getvalue()


def test_mistakes_are_lines_of_text_that_no_width_breaks(record_of):
    record = record_of(_graph())
    text = StringIO()
    print_diagnosis(Terminal(file=text, width=40), record, derive_diagnosis(record))
    lines = text.getvalue().splitlines()
    where = lines.index(
        "pipeline.py:4  serial map: map has no num_parallel_calls, so that one thread does its "
        "work."
    )
    assert lines[where + 1 : where + 3] == [
        "    line:  .map(load)",
        "    write: .map(load, num_parallel_calls=tf.data.AUTOTUNE)",
    ]
    assert lines[where + 3].startswith("    gain +")


def test_stages_that_the_model_no_longer_held_have_no_times(record_of):
    graph = _graph()
    plain = graph.plain.model_copy(update={"nodes": graph.plain.nodes[-1:]})
    record = record_of(graph.model_copy(update={"plain": plain}))
    diagnosis = derive_diagnosis(record)
    assert [mistake.gain for mistake in diagnosis.mistakes] == [None, None]
    text = StringIO()
    print_diagnosis(Terminal(file=text, width=300), record, diagnosis)
    assert "The times of the stages could not be measured" in text.getvalue()
    assert "0.000" not in text.getvalue()
    assert "The slowest stage" not in text.getvalue()


def test_files_opened_by_other_processes_are_not_put_on_the_function(record_of):
    record = record_of(_graph())
    opened = Opened(listed=200, others=64, examples=["photos/test/1.jpg"])
    record = record.model_copy(update={"observed": Observed(opened=opened, graph=_graph())})
    text = "\n".join(notes(record, derive_diagnosis(record)))
    assert (
        "200 of the listed files were opened while the function was watched, and 64 others, such "
        "as photos/test/1.jpg, by whatever process."
    ) in text


def test_records_of_other_loaders_have_no_mistakes(make_record):
    diagnosis = derive_diagnosis(make_record())
    assert (diagnosis.mistakes, diagnosis.gain_of_all) == ([], None)
    assert "In your pipeline" not in diagnosis.verdict


def test_a_method_whose_name_is_no_python_name_claims_no_node():
    stages = [STAGES[0], STAGES[1].model_copy(update={"method": "[red]("}), STAGES[2]]
    assert aligned([ChainNode(name=name) for name in ("Map", "BatchV2")], stages) == [[0], [], [1]]
