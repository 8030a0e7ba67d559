"""What the report of a diagnosis says of a user's pipeline, of failures, and of a busy device."""

from pathlib import Path

import pytest

from feedbench.bench.analysis.device import busy_periods
from feedbench.bench.diagnose.autotune import Node
from feedbench.bench.diagnose.own import Observed, Opened
from feedbench.bench.diagnose.record import Part
from feedbench.bench.diagnose.tf_graph.graph import Graph
from feedbench.bench.diagnose.tf_graph.model_run import ChainNode, ModelRun
from feedbench.bench.diagnose.tf_graph.stages import GraphStage
from feedbench.bench.diagnose.verdict import derive_diagnosis
from feedbench.bench.html.parts import Chart, Code, Text
from feedbench.bench.record import Block
from feedbench.bench.results.find import read_result
from feedbench.bench.results.kinds import DiagnosisResult

PUBLISHED = Path(__file__).parents[4] / "results" / "diagnose-clothing"


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
    (advice,) = [part for part in made.of(Code) if part.title == "What to write instead"]
    assert "num_parallel_calls" in advice.text


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


def test_device_works_on_while_the_host_waits_for_less_than_a_step():
    block = Block(seconds=0.5, images=4, wait_s=[0.1, 0.02, 0.0, 0.25], step_s=[0.0] * 4)
    assert list(busy_periods(block, 0.05)) == [
        pytest.approx((0.1, 0.25)),
        pytest.approx((0.37, 0.42)),
    ]
