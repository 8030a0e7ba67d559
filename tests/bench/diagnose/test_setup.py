"""Each part of a diagnosis is measured by one of the processes that are started."""

import shutil
from dataclasses import replace

import pytest

from feedbench.bench.diagnose.messages import StageRequest
from feedbench.bench.diagnose.setup import DiagnosisPlan, DiagnosisTiming, Setup
from feedbench.bench.diagnose.stages import (
    compute_stages,
    core_counts,
    runs_at,
    stages_of,
    why_not_cold,
)
from feedbench.bench.plan.plan import Choice
from feedbench.loaders import BatchSpec, Faults, find_loader, parse_settings, scan
from feedbench.loaders.pack import Packing, fill, opened
from feedbench.trainer import Recipe


@pytest.fixture
def manifest(tiny_photos):
    return scan(tiny_photos).only("train")


@pytest.fixture
def make_setup(manifest, make_record, tmp_path):
    """A function: the set-up of a loader on a machine with two cores, where cold is possible."""

    def make(loader, **settings):
        spec = BatchSpec(batch_size=8, image_size=32)
        choice = Choice(loader=loader, settings=settings)
        plan = DiagnosisPlan(choice, spec, Recipe(), "train", None)
        implementation = find_loader(loader)
        parsed = parse_settings(implementation, settings)
        stages = stages_of(implementation, manifest, spec, parsed)
        path = tmp_path / "manifest.parquet"
        return Setup(plan, make_record(), stages, True, path, DiagnosisTiming())

    return make


@pytest.mark.parametrize("loader", ["keras_pil", "tf_data", "turbo"])
def test_every_measurement_has_its_process_and_every_process_a_measurement(make_setup, loader):
    setup = make_setup(loader)
    processes = {measurement.process for measurement in setup.measurements()}
    assert processes == set(setup.jobs())


def test_the_loader_is_measured_at_another_image_size_if_it_can_be(make_setup):
    setup = make_setup("keras_pil")
    assert setup.jobs()["loader, other size"].spec.image_size == setup.record.other_size == 112
    assert setup.jobs()["loader warm"].spec.image_size == 32
    assert "loader, other size" in {one.part.name for one in setup.measurements()}
    unable = replace(setup, at_other_size=False)
    assert "loader, other size" not in unable.jobs()
    assert "loader, other size" not in {one.part.name for one in unable.measurements()}


def test_a_pack_cannot_be_read_at_another_image_size(manifest, tmp_path):
    spec = BatchSpec(batch_size=8, image_size=32)
    with opened(Packing(manifest, spec, "arrays"), tmp_path / "pack") as writer:
        fill(Packing(manifest, spec, "arrays"), writer, Faults(), lambda _: None)
    packed = find_loader("packed")
    settings = parse_settings(packed, {"pack": str(tmp_path / "pack")})
    assert runs_at(32, packed, manifest, spec, settings)
    assert not runs_at(16, packed, manifest, spec, settings)


def test_a_cache_that_is_a_pack_is_not_filled_at_another_image_size(manifest, tmp_path):
    """Its pack would be left behind."""
    spec, turbo = BatchSpec(batch_size=8, image_size=32), find_loader("turbo")
    packed = parse_settings(turbo, {"cache": "packed", "pack_dir": str(tmp_path)})
    assert not runs_at(16, turbo, manifest, spec, packed)
    assert runs_at(16, turbo, manifest, spec, parse_settings(turbo, {"cache": "decoded"}))


def test_images_that_do_not_fit_into_memory_are_not_measured(manifest):
    spec, turbo = BatchSpec(batch_size=8, image_size=32), find_loader("turbo")
    assert not runs_at(10**6, turbo, manifest, spec, parse_settings(turbo, {}))


def test_tf_data_is_also_measured_with_fixed_settings(make_setup):
    assert {"fixed 0", "fixed 1"} <= set(make_setup("tf_data").jobs())
    assert not [key for key in make_setup("turbo").jobs() if key.startswith("fixed")]


def test_the_consumer_alone_is_fed_with_synthetic_batches_of_the_same_dtype(make_setup):
    jobs = make_setup("turbo", output="float32").jobs()
    assert (jobs["consumer"].loader, jobs["consumer"].settings) == (
        "synthetic",
        {"output": "float32"},
    )
    assert jobs["end to end"].loader == "turbo"


def test_the_copy_to_the_device_is_measured_only_on_a_gpu(make_setup):
    setup = make_setup("keras_pil")
    assert "transfer" not in setup.jobs()
    gpu = replace(setup, record=setup.record.model_copy(update={"on_gpu": True}))
    assert gpu.jobs()["transfer"].consumer == "transfer"


def test_nothing_is_measured_cold_where_files_cannot_be_evicted(make_setup):
    setup = make_setup("keras_pil")
    states = {measurement.part.cache_state for measurement in setup.measurements()}
    assert states == {None, "warm", "cold"}
    record = setup.record.model_copy(update={"not_cold": "a network share"})
    warm = replace(setup, record=record).measurements()
    assert {measurement.part.cache_state for measurement in warm} == {None, "warm"}


def test_decoding_is_measured_on_one_core_and_on_all(make_setup):
    requests = [measurement.request for measurement in make_setup("keras_pil").measurements()]
    decode = [
        request.parallel
        for request in requests
        if isinstance(request, StageRequest) and request.stage == "decoding"
    ]
    assert decode == [1, 2]


def test_a_loader_has_only_its_own_stages(make_setup):
    live, cached = make_setup("turbo").stages, make_setup("turbo", cache="decoded").stages
    assert [name for name, _ in compute_stages(live)] == ["decoding", "transform"]
    assert [name for name, _ in compute_stages(cached)] == ["batch copy"]
    assert core_counts(cached, "batch copy", 2) == ([1, 2] if cached.copies_in_parallel else [1])


def test_a_full_cache_cannot_be_cold(make_setup, manifest):
    stages = make_setup("turbo", cache="decoded").stages
    assert "with its cache full the loader reads no files" in why_not_cold(stages, manifest)


@pytest.mark.parametrize("loader", ["turbo", "tf_data", "keras_pil"])
def test_shards_are_also_read_in_their_order(make_setup, loader, tiny_photos, tmp_path):
    setup = make_setup(loader)
    assert "storage in order" not in [one.part.name for one in setup.measurements()]
    shard = shutil.make_archive(str(tmp_path / "photos"), "tar", tiny_photos)
    settings = find_loader(loader).settings()
    stages = stages_of(find_loader(loader), scan(shard), setup.plan.spec, settings)
    requests = [one.request for one in replace(setup, stages=stages).measurements()]
    in_order = [one for one in requests if getattr(one, "stage", "") == "storage in order"]
    assert {one.cache_state for one in in_order} == {"warm", "cold"}
