"""Times of stages with known costs, and which node of tf.data stands for which stage."""

import importlib.util
import time
from pathlib import Path

import pytest

from feedbench.bench.diagnose.tf_graph.graph import measured_graph
from feedbench.bench.diagnose.tf_graph.model_run import run_model
from feedbench.bench.diagnose.tf_graph.recording import recorded
from feedbench.bench.diagnose.tf_graph.threads import is_timed, stage_work, steps_of

FILE = Path(__file__).with_name("pipelines.py")
LONG_S, SHORT_S = 0.04, 0.004  # so far apart that other processes cannot change their order


@pytest.fixture(scope="module")
def pipelines():
    spec = importlib.util.spec_from_file_location("pipelines", FILE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def graph_of():
    def measured(make):
        with recorded() as recording:
            dataset = make()
        return measured_graph(recording.chain(dataset), 0.8)

    return measured


def test_the_time_of_a_stage_is_its_own(pipelines, graph_of):
    def make():
        decoded = pipelines.files(400).map(pipelines.decode, num_parallel_calls=2)
        long = decoded.map(pipelines.sleeping(LONG_S), num_parallel_calls=4)
        return long.map(pipelines.sleeping(SHORT_S)).shuffle(8).batch(2).prefetch(2)

    graph = graph_of(make)
    work = dict(zip([stage.method for stage in graph.stages], stage_work(graph), strict=True))
    longest, shortest = stage_work(graph)[2:4]
    assert longest > LONG_S / 2  # what four calls had under way before the first batch is left out
    assert 0.95 * SHORT_S < shortest < longest
    assert max(work["shuffle"], work["batch"], work["prefetch"]) < longest


def test_the_time_of_datasets_inside_a_stage_is_that_of_the_stage(pipelines, graph_of):
    def make():
        slow = pipelines.sleeping(LONG_S)
        inside = pipelines.files(60).interleave(
            lambda data: (
                pipelines.tf.data.Dataset.from_tensors(data).map(pipelines.decode).map(slow)
            ),
            cycle_length=2,
        )
        return inside.batch(2)

    graph = graph_of(make)
    work = dict(zip([stage.method for stage in graph.stages], stage_work(graph), strict=True))
    assert work["interleave"] > 0.95 * LONG_S
    assert work["batch"] < LONG_S / 2


@pytest.mark.parametrize("size", [8, 5, 4])
def test_epochs_of_one_or_two_batches_show_every_stage(pipelines, graph_of, size):
    def make():
        slow = pipelines.files(6).shuffle(6).map(pipelines.decode).map(pipelines.sleeping(LONG_S))
        return slow.batch(size)

    graph = graph_of(make)
    work = stage_work(graph)
    assert work[3] > 0.95 * LONG_S
    assert max(work[:3] + work[4:]) < work[3]
    assert {3, 4} <= {n for step in steps_of(graph) for n in step.work}
    assert is_timed(graph)
    assert graph.as_is.images > 0


def test_shuffled_batches_of_a_short_epoch_show_every_stage(pipelines, graph_of):
    def make():
        slow = pipelines.files(6).map(pipelines.decode).map(pipelines.sleeping(LONG_S))
        return slow.batch(4).shuffle(8)

    work = stage_work(graph_of(make))
    assert work[2] > 0.95 * LONG_S
    assert max(work[:2] + work[3:]) < work[2]


def test_a_full_cache_leaves_no_work_before_it(pipelines, graph_of):
    def make():
        slow = pipelines.files(6).map(pipelines.decode).map(pipelines.sleeping(LONG_S))
        return slow.cache().map(lambda image: 255 - image).repeat().batch(2)

    graph = graph_of(make)
    assert stage_work(graph)[2] > 0.95 * LONG_S
    assert all(not step.work.get(2) for step in steps_of(graph))
    assert graph.as_is.cpu_per_image_s < LONG_S


def test_a_full_cache_leaves_no_work_to_the_source(pipelines, graph_of):
    """Its first node stands where the source's was."""

    def images():
        for number in range(6):
            time.sleep(LONG_S)
            yield number

    def make():
        one = pipelines.tf.TensorSpec([], "int64")
        source = pipelines.tf.data.Dataset.from_generator(images, output_signature=one)
        return source.cache().batch(2)

    graph = graph_of(make)
    assert stage_work(graph)[0] > 0.95 * LONG_S
    assert all(not step.work.get(0) for step in steps_of(graph))


@pytest.mark.parametrize("is_batched", [False, True])
def test_a_cache_that_is_never_full_saves_no_work(pipelines, graph_of, is_batched):
    def make():
        slow = pipelines.files(8).map(pipelines.decode).map(pipelines.sleeping(LONG_S)).cache()
        return slow.batch(2).take(2) if is_batched else slow.take(4).batch(2)

    (work,) = (step.work[2] for step in steps_of(graph_of(make)) if 2 in step.work)
    assert work > 0.95 * LONG_S


def test_what_tf_data_fuses_makes_parallel_and_adds_is_seen(pipelines, graph_of):
    graph = graph_of(pipelines.no_prefetch)
    fused = [step for step in steps_of(graph) if {2, 3} <= set(step.work)]
    assert len(fused) == 1
    assert fused[0].workers >= 1
    assert {node.name for node in graph.plain.nodes} >= {"ParallelMapV2", "BatchV2"}


def test_short_epochs_are_run_again_and_an_empty_one_is_refused(pipelines):
    run = run_model(pipelines.files(4).batch(2), 0.5)
    assert run.images > 2
    with pytest.raises(StopIteration):
        run_model(pipelines.files(4).take(0).batch(2), 0.1)


def test_a_source_that_gives_batches_counts_images(pipelines, graph_of):
    graph = graph_of(pipelines.endless_batches)
    assert graph.as_is.images % 4 == 0
    assert all(stage.batched for stage in graph.stages)
