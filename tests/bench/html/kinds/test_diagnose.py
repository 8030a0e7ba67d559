"""What the report of a diagnosis says of a user's pipeline, of failures, and of a busy device."""

from pathlib import Path

import pytest

from feedbench.bench.diagnose.autotune import Node
from feedbench.bench.diagnose.own import Observed, Opened
from feedbench.bench.diagnose.record import Part
from feedbench.bench.diagnose.tf_graph.graph import Graph
from feedbench.bench.diagnose.tf_graph.model_run import ChainNode, ModelRun
from feedbench.bench.diagnose.tf_graph.stages import GraphStage
from feedbench.bench.diagnose.verdict import derive_diagnosis
from feedbench.bench.html.parts import Chart, Code, Details, Text
from feedbench.bench.results.find import read_result
from feedbench.bench.results.kinds import DiagnosisResult

PUBLISHED = Path(__file__).parents[4] / "results" / "diagnose-clothing"
TUTORIAL = Path(__file__).parents[4] / "results" / "tutorial" / "diagnosis"


@pytest.fixture(scope="module")
def record():
    return read_result(PUBLISHED).record


def result_of(record) -> DiagnosisResult:
    return DiagnosisResult(Path("folder/record.json"), record, derive_diagnosis(record))


def a_graph():
    methods = ("list_files", "map", "batch")
    stages = [
        GraphStage(method=method, file="/a/<pipeline>.py", line=line, text=f".{method}()")
        for line, method in enumerate(methods, 3)
    ]
    stages[2] = stages[2].model_copy(update={"batched": True})
    nodes = [ChainNode(name=name) for name in ("Shuffle", "Map", "BatchV2")]
    plain = [
        node.model_copy(update={"own_s": s}) for node, s in zip(nodes, (0, 0.002, 0), strict=True)
    ]
    return Graph(
        stages=stages,
        as_is=ModelRun(nodes=nodes, images=200, seconds=1.0, cpu_s=1.0),
        plain=ModelRun(nodes=plain, images=200, seconds=1.0, cpu_s=1.0),
    )


def test_mistakes_of_a_pipeline_are_drawn_with_what_was_measured(page, record):
    (both,) = [part for part in record.parts if part.name == "end to end"]
    faster = [block.model_copy(update={"seconds": block.seconds / 1.2}) for block in both.blocks]
    tried = Part(name="rewritten", mistake="serial map", stage=1, blocks=faster)
    update = {
        "observed": Observed(opened=Opened(listed=200), graph=a_graph()),
        "parts": [*record.parts, tried],
        "autotuned": [
            Node(
                name="Map",
                parameters={"parallelism": 2},
                autotuned=["parallelism"],
                processing_s=0.002,
                buffered_bytes=10,
            )
        ],
    }
    made = page(result_of(record.model_copy(update=update)))
    rows = {row["mistake"]: row for row in made.table("Mistakes and advice")}
    assert rows["serial map"]["line"] == "<pipeline>.py:4"
    assert rows["serial map"]["gain measured [95 %]"][0] == pytest.approx(0.2)
    assert made.table("Stages, from the source to the batches")[1]["share"][0] == 1
    assert (
        made.table("Where tf.data spends its time")[0]["parameters"] == "parallelism 2 (AUTOTUNE)"
    )
    assert [one for one in made.of(Code) if "write: " in one.text and "num_parallel" in one.text]


def test_parts_that_could_not_be_measured_give_a_report_without_a_waterfall(page, record):
    parts = [
        part.model_copy(update={"blocks": [], "error": "the process was killed"})
        if part.name == "loader"
        else part
        for part in record.parts
    ]
    made = page(result_of(record.model_copy(update={"parts": parts})))
    assert made.report.headline.sentence.startswith("No verdict")
    assert not [chart for chart in made.of(Chart) if "lost" in chart.title]
    failed = {row["could not be measured"] for row in made.table("Ceilings")}
    assert "the process was killed" in failed


def test_failed_self_test_is_an_error_at_the_top_and_in_its_section(page, record):
    check = {"name": "a delay", "expected": "20 ms", "measured": "30 ms", "passed": False}
    made = page(result_of(record.model_copy(update={"self_test": {"checks": [check]}})))
    assert made.report.headline.sentence.startswith("Do not trust this diagnosis")
    assert "error" in {part.style for part in made.of(Text)}
    assert made.table("Checks")[0]["result"] == "FAILED"


def test_idle_time_over_time_is_the_stall(page, record):
    result = result_of(record)
    (chart,) = [one for one in page(result).of(Chart) if "the emulated device idles" in one.title]
    assert f"{result.diagnosis.stall.value:.0%}" in chart.title


@pytest.fixture(scope="module")
def tutorial():
    """A user's pipeline with a mistake, which was also measured without it."""
    return read_result(TUTORIAL)


def test_what_to_change_comes_first_then_stages_stall_and_predictions(page, tutorial):
    made = page(tutorial)
    assert made.anchors[:4] == ["mistakes", "pipeline", "stall", "what-if"]
    first, why, lines = made.report.sections[0].parts[:3]
    one = tutorial.diagnosis.mistakes[0]
    assert first.text.startswith(f"pipeline.py:{one.line}: {one.name}. Gain: +")
    assert f"{one.tried.value - 1:+.0%} [" in first.text
    assert first.text.endswith("], measured.")
    assert "num_parallel_calls" in why.text
    assert "now:   return files.map(load).batch(batch_size)" in lines.text
    edited = "return files.map(load, num_parallel_calls=tf.data.AUTOTUNE).batch(batch_size)"
    assert f"write: {edited}" in lines.text


def test_what_was_measured_to_gain_nothing_is_closed(page, tutorial):
    made = page(tutorial)
    (closed,) = [part for part in made.report.sections[0].parts if isinstance(part, Details)]
    assert closed.title == "Gains nothing: no prefetch"
    texts = [part.text for part in made.report.sections[0].parts if isinstance(part, Text)]
    assert not any("no prefetch" in text for text in texts)
    assert "Gain: +0% [-12%, +9%], measured." in closed.parts[0].text


def test_the_slowest_part_is_one_that_the_images_pass(page, tutorial):
    """Cold files are slower, but those of this run are warm."""
    assert tutorial.record.cache_state == "warm"
    page(tutorial).chart("Slowest alone: loader, warm, 679 images/s")


def test_the_first_thing_to_copy_is_the_line_to_write(page, tutorial):
    place, write = page(tutorial).report.headline.command.split("\n")
    assert place == "# pipeline.py:13: serial map"
    assert "num_parallel_calls=tf.data.AUTOTUNE" in write


def test_without_a_mistake_that_pays_a_function_is_timed_beside_the_default_loader(page, tutorial):
    parts = [part for part in tutorial.record.parts if part.name != "rewritten"]
    graph = tutorial.record.observed.graph
    stages = [
        one.model_copy(update={"parallel": -1, "parallel_none": False}) for one in graph.stages
    ]
    observed = tutorial.record.observed.model_copy(
        update={"graph": graph.model_copy(update={"stages": stages})}
    )
    record = tutorial.record.model_copy(update={"parts": parts, "observed": observed})
    command = page(result_of(record)).report.headline.command
    assert command.startswith("feedbench bench DATA --loader pipeline.py:make_dataset --loader ")
    assert "--batch-size 64" in command


def test_the_lines_of_the_users_file_are_on_the_page(page, tutorial):
    (listing,) = [one for one in page(tutorial).of(Code) if "lines that make stages" in one.title]
    assert listing.title.startswith("pipeline.py")
    assert "  13  return files.map(load).batch(batch_size)" in listing.text


def test_changes_that_gain_nothing_are_a_sentence_instead_of_a_chart(page, tutorial):
    predictions = [one.model_copy(update={"gain": 0.001}) for one in tutorial.diagnosis.predictions]
    diagnosis = tutorial.diagnosis.model_copy(update={"predictions": predictions})
    made = page(DiagnosisResult(tutorial.path, tutorial.record, diagnosis))
    (sentence,) = [one.text for one in made.of(Text) if one.text.startswith("None of these helps")]
    assert predictions[0].change in sentence
    assert not [one for one in made.of(Chart) if "is predicted to give" in one.title]
    assert made.table("Predictions")


def test_the_stages_of_a_pipeline_bear_their_name_in_the_waterfall(page, tutorial):
    chart = page(tutorial).chart("The pipeline's stages cost 42 of the 43 points that are lost")
    assert "bottleneck: the pipeline's stages" in str(chart.spec)
    assert chart.table.rows[0][0] == "the pipeline's stages"


def test_work_without_a_part_of_its_own_is_not_called_a_cost(page, tutorial):
    record = tutorial.record.model_copy(update={"observed": None})
    made = page(DiagnosisResult(tutorial.path, record, tutorial.diagnosis))
    (chart,) = [one for one in made.of(Chart) if "points that are lost" in one.title]
    assert chart.title.endswith("have no part that was measured alone")


def test_several_mistakes_are_compared_in_a_chart_that_keeps_their_names(page, tutorial):
    (one, *_) = tutorial.diagnosis.mistakes
    other = one.model_copy(update={"name": "no prefetch", "tried": None, "gain": 0.1})
    diagnosis = tutorial.diagnosis.model_copy(update={"mistakes": [one, other]})
    made = page(DiagnosisResult(tutorial.path, tutorial.record, diagnosis))
    rows = made.chart("serial map, pipeline.py:13: the largest gain").spec["data"]["values"]
    assert [row["name"].split(",")[0] for row in rows] == ["serial map", "no prefetch"]
    assert [row["short"] for row in rows] == [f"{one.tried.value - 1:+.0%}", "+10%"]


def test_chart_of_the_parts_has_storage_once_per_cache_state_at_its_fastest(page, tutorial):
    rows = page(tutorial).chart("Slowest alone").spec["data"]["values"]
    storage = [row for row in rows if row["name"].startswith("storage, warm")]
    rates = [
        one.images_per_second.value
        for one in tutorial.diagnosis.ceilings
        if (one.name, one.cache_state) == ("storage", "warm")
    ]
    assert len(rates) > 1
    assert [row["value"] for row in storage] == [max(rates)]


def test_stages_of_a_built_in_loader_come_after_the_stall(page):
    made = page(read_result(PUBLISHED / "two-cores"))
    assert made.anchors[:3] == ["stall", "what-if", "pipeline"]
