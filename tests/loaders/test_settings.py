"""Settings that several loaders share keep their names, defaults and order."""

import pytest
from pydantic import ValidationError

from feedbench.loaders import LOADERS
from feedbench.loaders.packed import Packed
from feedbench.loaders.synthetic import Synthetic
from feedbench.loaders.tf_settings import TfData
from feedbench.loaders.turbo import Turbo

FIELDS = {
    "tf_data": [
        "num_parallel_calls",
        "prefetch",
        "cache",
        "cache_dir",
        "deterministic",
        "private_threads",
        "decode",
        "output",
        "read_depth",
    ],
    "turbo": ["num_threads", "prefetch", "decode", "cache", "pack_dir", "output", "read_depth"],
    "packed": ["pack", "num_threads", "prefetch", "decode", "output"],
    "synthetic": ["output", "like", "like_settings"],
}


@pytest.mark.parametrize("name", FIELDS)
def test_fields_keep_their_order(name):
    assert list(LOADERS[name].settings.model_fields) == FIELDS[name]


@pytest.mark.parametrize("settings", [TfData, Turbo, Synthetic])
def test_output_decides_the_dtype(settings):
    assert settings().image_dtype == "uint8"
    assert settings(output="float32").image_dtype == "float32"


def test_only_a_cache_is_filled_in_the_first_epoch():
    assert not TfData().fills_cache
    assert TfData(cache="encoded").fills_cache
    assert not Turbo().fills_cache
    assert Turbo(cache="decoded").fills_cache
    assert not Packed(pack="folder").fills_cache
    assert not Synthetic().fills_cache


@pytest.mark.parametrize(
    ("settings", "values"),
    [
        (Turbo, {"num_threads": 0}),
        (Turbo, {"prefetch": -1}),
        (Packed, {"pack": "folder", "num_threads": 0}),
        (Synthetic, {"output": "float16"}),
        (TfData, {"cache": "packed"}),
    ],
)
def test_values_out_of_range_are_refused(settings, values):
    with pytest.raises(ValidationError):
        settings(**values)


def test_every_setting_has_a_description():
    for loader in LOADERS.values():
        for field in loader.settings.model_fields.values():
            assert field.description
            assert field.description.endswith(".")


@pytest.mark.parametrize(
    ("name", "setting"),
    [
        ("turbo", "num_threads"),
        ("packed", "num_threads"),
        ("tf_data", "num_parallel_calls"),
        ("keras_pil", "workers"),
        ("keras_pil", "max_queue_size"),
        ("torch", "num_workers"),
        ("grain", "num_threads"),
        ("dali", "num_threads"),
        ("spdl", "concurrency"),
        ("ffcv", "num_workers"),
    ],
)
@pytest.mark.parametrize("cores", [1, 2, 64])
def test_a_search_tries_values_that_keep_all_cores_busy(name, setting, cores):
    values = LOADERS[name].space[setting](cores)
    assert len(set(values)) == len(values)
    numbers = [value for value in values if isinstance(value, int)]
    assert None in values or max(numbers) >= cores  # None: one per core
