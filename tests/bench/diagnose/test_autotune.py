"""What AUTOTUNE sets is read from tf.data, and compared with fixed settings."""

import pytest

from feedbench.bench.diagnose.autotune import autotune_nodes, autotuned_values
from feedbench.bench.diagnose.fixed import comparison_text, fixed_choices
from feedbench.bench.diagnose.record import Part
from feedbench.bench.diagnose.verdict import derive_diagnosis
from feedbench.bench.plan.plan import Choice
from feedbench.loaders import BatchSpec, find_loader, parse_settings, scan


def test_fixed_settings_replace_what_is_left_to_autotune():
    assert [choice.settings for choice in fixed_choices(Choice(loader="tf_data"), 2)] == [
        {"num_parallel_calls": 2, "prefetch": 2},
        {"num_parallel_calls": 4, "prefetch": 2},
    ]
    settings = {"num_parallel_calls": 3, "cache": "decoded"}
    (choice,) = fixed_choices(Choice(loader="tf_data", settings=settings), 2)
    assert choice.settings == {**settings, "prefetch": 2}


def test_there_are_no_fixed_settings_without_autotune():
    fixed = Choice(loader="tf_data", settings={"num_parallel_calls": 3, "prefetch": 0})
    assert fixed_choices(fixed, 2) == []
    assert fixed_choices(Choice(loader="turbo"), 2) == []


@pytest.mark.parametrize(("gain", "faster"), [(1.25, True), (0.9, False)])
def test_the_best_fixed_settings_are_compared_with_autotune(make_record, gain, faster):
    record = make_record(loader=400, decode=5_000, loader_cores=2.0, end_to_end=400)
    autotuned = next(part for part in record.parts if part.name == "loader")
    parts = list(record.parts)
    for calls, ratio in ((2, gain * 0.9), (4, gain)):
        blocks = [
            block.model_copy(update={"seconds": block.seconds / ratio / (1 + 0.01 * index)})
            for index, block in enumerate(autotuned.blocks)
        ]
        settings = {"num_parallel_calls": calls}
        parts.append(Part(name="fixed", cache_state="warm", settings=settings, blocks=blocks))
    diagnosis = derive_diagnosis(record.model_copy(update={"parts": parts}))
    fixed = diagnosis.fixed
    assert (fixed.settings, fixed.tried) == ({"num_parallel_calls": 4}, 2)
    assert fixed.ratio.value == pytest.approx(gain * 1.01)
    assert fixed.faster is faster
    assert comparison_text(fixed).startswith("Fixed settings: num_parallel_calls=4, the best of 2 ")
    changes = {prediction.change: prediction for prediction in diagnosis.predictions}
    assert ("fixed parallelism" in changes) is faster
    if faster:
        assert changes["fixed parallelism"].images_per_second == pytest.approx(505)


def test_the_best_of_many_equal_settings_is_not_called_faster(make_record):
    """Alone its interval is above 1; of seven equals, one in six or so has such an interval."""
    record = make_record(loader=400, decode=5_000, loader_cores=2.0, end_to_end=400)
    autotuned = next(part for part in record.parts if part.name == "loader")
    parts = list(record.parts)
    for calls, gains in ((2, (1.024, 1.016, 1.02)), *((n, (1.0, 0.99, 1.01)) for n in range(3, 9))):
        blocks = [
            block.model_copy(update={"seconds": block.seconds / gain})
            for block, gain in zip(autotuned.blocks, gains, strict=False)
        ]
        settings = {"num_parallel_calls": calls}
        parts.append(Part(name="fixed", cache_state="warm", settings=settings, blocks=blocks))
    (few, many) = (
        derive_diagnosis(record.model_copy(update={"parts": parts[:count]})).fixed
        for count in (len(record.parts) + 1, len(parts))
    )
    assert few.faster
    assert not many.faster


def test_autotuned_values_do_not_include_fixed_ones(tiny_photos):
    manifest, spec = scan(tiny_photos).only("train"), BatchSpec(batch_size=8, image_size=16)
    loader = find_loader("tf_data")
    nodes = autotune_nodes(loader, manifest, spec, loader.settings(), 0.5)
    assert "parallelism" in {name for node in nodes for name in node.autotuned}
    assert any("parallelism" in value for value in autotuned_values(nodes))
    fixed_calls = parse_settings(loader, {"num_parallel_calls": 2})
    nodes = autotune_nodes(loader, manifest, spec, fixed_calls, 0.5)
    assert "parallelism" not in {name for node in nodes for name in node.autotuned}


@pytest.mark.parametrize(
    ("name", "settings"),
    [("tf_data", {"num_parallel_calls": 2, "prefetch": 0}), ("turbo", {})],
)
def test_there_are_no_nodes_if_autotune_has_nothing_to_set(tiny_photos, name, settings):
    manifest, spec = scan(tiny_photos).only("train"), BatchSpec(batch_size=8, image_size=16)
    loader = find_loader(name)
    assert autotune_nodes(loader, manifest, spec, parse_settings(loader, settings), 0.5) == []
