"""Predicted gains of pipelines of which the times are known."""

import pytest

from feedbench.bench.diagnose.tf_graph.changes import (
    Pipeline,
    cached,
    gain,
    inserted,
    parallel,
    prefetched,
    reworked,
    unchanged,
)
from feedbench.bench.diagnose.tf_graph.graph import Graph
from feedbench.bench.diagnose.tf_graph.model_run import ChainNode, ModelRun
from feedbench.bench.diagnose.tf_graph.predict import Measured, pipeline_of
from feedbench.bench.diagnose.tf_graph.stages import GraphStage
from feedbench.bench.diagnose.tf_graph.threads import Load, Step

MS = 1e-3


def _pipeline(*steps, consumer=0.0, cpu=0.0, cores=4, overlap=1.0):
    return Pipeline(steps, Load(consumer, cpu, cores, overlap))


def test_without_prefetch_host_and_consumer_take_turns():
    serial = _pipeline(Step({0: 2 * MS}), consumer=3 * MS)
    assert serial.image_s == pytest.approx(5 * MS)
    assert gain(serial, prefetched) == pytest.approx(5 / 3 - 1)
    already = _pipeline(Step({0: 2 * MS}), Step({}, buffers=True), consumer=3 * MS)
    assert gain(already, prefetched) == 0


def test_a_consumer_that_is_the_bottleneck_leaves_no_gain():
    fast = _pipeline(Step({0: 1 * MS}), Step({}, buffers=True), consumer=5 * MS)
    assert gain(fast, parallel(0)) == 0
    assert gain(fast, reworked(0, work_s=0.0)) == 0


def test_a_serial_map_gains_up_to_what_the_cores_allow():
    work = Step({1: 4 * MS})
    blocked = _pipeline(Step({0: 0.1 * MS}), work, cores=4)
    assert gain(blocked, parallel(1)) == pytest.approx(4.1 / 1 - 1)
    busy = _pipeline(work, cpu=6 * MS, cores=4)
    assert gain(busy, parallel(1)) == pytest.approx(4 / 1.5 - 1)


def test_work_that_goes_or_comes_back_is_felt_by_the_cores():
    steps = (Step({0: 1 * MS, 1: 3 * MS}, workers=2.0, buffers=True), Step({2: 0.5 * MS}))
    busy = _pipeline(*steps, cpu=4.5 * MS, cores=2)
    assert busy.image_s == pytest.approx(2.25 * MS)
    assert cached(1)(busy).image_s == pytest.approx(0.5 * MS)
    assert reworked(1, 1 / 3)(busy).image_s == pytest.approx(1.25 * MS)
    back = inserted(2, 4 * MS, is_parallel=False)(busy)
    assert back.image_s == pytest.approx(4.5 * MS)
    assert unchanged(busy) is busy


def _graph(nodes, stages, own_ms, cpu_ms):
    plain = [ChainNode(name=name, own_s=ms * MS) for name, ms in own_ms]
    return Graph(
        stages=stages,
        as_is=ModelRun(nodes=nodes, images=1_000, seconds=1.0, cpu_s=cpu_ms),
        plain=ModelRun(nodes=plain, images=1_000, seconds=1.0, cpu_s=1.0),
    )


def _augmented():
    """Decoding on two threads, then a serial map in the thread of the consumer."""
    stages = [
        GraphStage(method="list_files"),
        GraphStage(method="map", parallel=-1),
        GraphStage(method="batch", batched=True),
        GraphStage(method="map", batched=True),
    ]
    nodes = [
        ChainNode(name="TensorSlice"),
        ChainNode(name="MapAndBatch", parameters={"parallelism": 2.0}),
        ChainNode(name="Map"),
    ]
    own = [("TensorSlice", 0.0), ("ParallelMapV2", 1.0), ("BatchV2", 0.2), ("Map", 2.0)]
    return _graph(nodes, stages, own, 3.2)


def test_the_model_agrees_with_what_was_measured():
    measured = Measured(2 * MS, 1 * MS, 2.5 * MS, 0.0, cores=2)
    pipeline = pipeline_of(_augmented(), measured)
    assert pipeline.image_s == pytest.approx(2.5 * MS)
    assert pipeline.load.overlap == pytest.approx(0.5)
    assert gain(pipeline, parallel(3)) == pytest.approx(2.5 / 1.6 - 1)


def test_a_slower_machine_scales_all_stages():
    measured = Measured(4 * MS, 0.0, 4 * MS, 0.0, cores=2)
    pipeline = pipeline_of(_augmented(), measured)
    assert pipeline.image_s == pytest.approx(4 * MS)
    assert gain(pipeline, parallel(3)) == pytest.approx(4 / 3.2 - 1)
