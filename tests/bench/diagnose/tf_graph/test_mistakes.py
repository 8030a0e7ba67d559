"""Each mistake is named where it is, with its line, and not where it is not."""

import importlib.util
import linecache
from pathlib import Path

import pytest

from feedbench.bench.diagnose.tf_graph.graph import Graph
from feedbench.bench.diagnose.tf_graph.mistakes import find_mistakes
from feedbench.bench.diagnose.tf_graph.model_run import ChainNode, ModelRun
from feedbench.bench.diagnose.tf_graph.recording import recorded
from feedbench.bench.diagnose.tf_graph.rewrite import rewrites, rewritten
from feedbench.bench.diagnose.tf_graph.settings_passed import with_settings
from feedbench.bench.diagnose.tf_graph.stages import stages_in
from feedbench.loaders import find_loader

FILE = Path(__file__).with_name("pipelines.py")


@pytest.fixture(scope="module")
def pipelines():
    spec = importlib.util.spec_from_file_location("pipelines", FILE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def chain_of(pipelines):
    def chain(name):
        with recorded() as recording:
            dataset = getattr(pipelines, name)()
        return recording.chain(dataset)

    return chain


def _graph(chain):
    run = ModelRun(nodes=[ChainNode(name="Any")], images=1, seconds=1.0, cpu_s=1.0)
    return Graph(stages=stages_in(chain), as_is=run, plain=run)


def _found(chain, memory=None):
    return find_mistakes(_graph(chain), memory)


CASES = [
    ("no prefetch", "no_prefetch", "good"),
    ("serial map", "serial_map", "good"),
    ("Python per image", "python_per_image", "python_per_batch"),
    ("from_generator", "from_generator", "endless_batches"),
    ("cache after random augmentation", "cache_after_random", "cache_before_random"),
    ("cache after random augmentation", "cache_after_numpy_random", "cache_after_python"),
    ("cache after random generator", "cache_after_random_generator", "cache_after_generator"),
    ("serial reads", "serial_reads", "parallel_reads"),
    ("serial reads", "serial_reads", "one_file"),
    ("small shuffle buffer", "small_shuffle", "good"),
    ("small shuffle buffer", "small_shuffle", "small_shuffle_of_shuffled_files"),
    ("cache after shuffle", "shuffle_before_cache", "shuffle_after_cache"),
    ("shuffle after batch", "shuffle_after_batch", "good"),
    ("repeat before shuffle", "repeat_before_shuffle", "repeat_after_shuffle"),
    ("serial interleave", "serial_interleave", "parallel_interleave"),
    ("float32 before resizing", "float_resize", "good"),
    ("float32 batches", "float_batches", "good"),
    ("map before batch", "map_before_batch", "map_after_batch"),
    ("deterministic", "deterministic", "good"),
]


@pytest.mark.parametrize(("mistake", "wrong", "right"), CASES)
def test_a_mistake_is_named_where_it_is(chain_of, mistake, wrong, right):
    names = [finding.name for finding in _found(chain_of(wrong))]
    assert names.count(mistake) == 1
    assert mistake not in [finding.name for finding in _found(chain_of(right))]


def test_nothing_is_wrong_with_a_good_pipeline(chain_of):
    assert _found(chain_of("good")) == []


def test_a_value_that_is_none_is_not_called_missing(chain_of):
    (finding,) = _found(chain_of("none_by_a_parameter"))
    assert finding.sentence.startswith("num_parallel_calls is None here, ")
    (finding,) = _found(chain_of("serial_map"))
    assert finding.sentence.startswith("map has no num_parallel_calls, ")


@pytest.mark.parametrize("name", ["none_by_a_parameter", "serial_map"])
def test_what_to_write_is_the_users_own_line(chain_of, name):
    (finding,) = _found(chain_of(name))
    line = "return end(files().map(decode, num_parallel_calls=tf.data.AUTOTUNE))"
    assert finding.write == line


@pytest.mark.parametrize(
    ("values", "more"),
    [
        ({}, "; or add --set none_by_a_parameter.workers=-1 to the command, which is AUTOTUNE"),
        ({"workers": 3}, ""),  # so the None is that of another variable
    ],
)
def test_a_setting_that_the_stage_passes_is_named(chain_of, values, more):
    loader = find_loader(f"{FILE}:none_by_a_parameter")
    graph = with_settings(
        _graph(chain_of("none_by_a_parameter")), loader, loader.settings(**values)
    )
    (finding,) = find_mistakes(graph)
    assert finding.write.partition("tf.data.AUTOTUNE))")[2] == more


def test_a_cache_is_advised_where_decoded_images_fit_into_memory(chain_of):
    size = 32 * 8 * 8 * 3
    (advice,) = _found(chain_of("good"), memory=size)
    assert (advice.name, advice.advice, advice.stage) == ("no cache", True, 2)
    assert _found(chain_of("good"), memory=size - 1) == []
    names = [finding.name for finding in _found(chain_of("cache_before_random"), memory=size)]
    assert "no cache" not in names


@pytest.mark.parametrize(("mistake", "wrong", "right"), CASES)
def test_the_line_to_change_is_that_of_the_call(chain_of, mistake, wrong, right):
    chain = chain_of(wrong)
    (finding,) = [one for one in _found(chain) if one.name == mistake]
    stage = stages_in(chain)[finding.stage]
    assert stage.file == str(FILE)
    assert stage.text == linecache.getline(stage.file, stage.line).strip()
    assert finding.write.endswith(".") is False
    helper = mistake in ("from_generator", "float32 batches")  # `batch` is called by a helper
    assert stage.method.removesuffix("V2") in stage.text or helper
    assert bool(finding.unknown) == (finding.change is None)


@pytest.mark.parametrize(("mistake", "wrong"), [case[:2] for case in CASES if rewrites(case[0])])
def test_a_rewritten_pipeline_is_without_its_mistake(chain_of, mistake, wrong):
    chain = chain_of(wrong)
    (finding,) = [one for one in _found(chain) if one.name == mistake]
    with recorded() as recording:
        dataset = rewritten(chain, mistake, finding.stage)
    again = recording.chain(dataset)
    assert mistake not in [one.name for one in _found(again)]
    assert dataset.element_spec == chain[-1].dataset.element_spec
    assert next(iter(dataset)).shape == (4, 8, 8, 3)


def test_a_cache_is_inserted_behind_what_is_decoded(chain_of):
    chain = chain_of("good")
    (advice,) = _found(chain, memory=10**9)
    with recorded() as recording:
        dataset = rewritten(chain, "no cache", advice.stage)
    methods = [call.method for call in recording.chain(dataset)]
    assert methods[-4:] == ["map", "cache", "batch", "prefetch"]


def test_a_pipeline_built_before_the_recording_is_a_source(pipelines):
    dataset = pipelines.good()
    with recorded() as recording:
        pass
    (stage,) = stages_in(recording.chain(dataset))
    assert (stage.method, stage.file, stage.own) == ("_PrefetchDataset", "", False)


def test_the_methods_of_tf_data_are_as_before_after_a_recording():
    import tensorflow as tf

    before = dict(vars(tf.data.Dataset))
    with recorded():
        assert dict(vars(tf.data.Dataset)) != before
    assert dict(vars(tf.data.Dataset)) == before


def test_stages_of_a_library_name_the_line_that_called_it(splits_folder):
    import keras

    with recorded() as recording:
        dataset = keras.utils.image_dataset_from_directory(
            splits_folder / "train", image_size=(8, 8), batch_size=4, verbose=False
        ).map(lambda images, labels: (images / 255, labels))
    stages = stages_in(recording.chain(dataset))
    assert [stage.own for stage in stages] == [False] * (len(stages) - 1) + [True]
    assert {Path(stage.file) for stage in stages} == {Path(__file__)}
    assert "image_dataset_from_directory" in stages[0].text
