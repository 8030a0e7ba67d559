"""Of many images a sample is measured, which fits into memory."""

from feedbench.bench.diagnose.sample import drawn
from feedbench.bench.diagnose.stages import stages_of
from feedbench.bench.trials.cache_state import Files
from feedbench.loaders import BatchSpec, find_loader, parse_settings, scan

SPEC = BatchSpec(batch_size=8, image_size=32)


def stages(manifest, name="turbo", **settings):
    loader = find_loader(name)
    return stages_of(loader, manifest, SPEC, parse_settings(loader, settings))


def names(manifest):
    return {manifest.name(row) for row in range(len(manifest))}


def test_few_images_are_all_measured(tiny_photos):
    manifest = scan(tiny_photos).only("train")
    assert drawn(manifest, stages(manifest), len(manifest), 1e12) is manifest


def test_of_more_images_as_many_are_drawn_as_asked_for(tiny_photos):
    manifest = scan(tiny_photos).only("train")
    sample = drawn(manifest, stages(manifest), 5, 1e12)
    assert len(sample) == 5
    assert names(sample) < names(manifest)
    assert sample.classes == manifest.classes


def test_no_more_bytes_are_drawn_than_stay_in_memory(tiny_photos):
    manifest = scan(tiny_photos).only("train")
    total = Files(manifest).size(range(len(manifest)))
    sample = drawn(manifest, stages(manifest), len(manifest), total / 3)
    assert 1 <= len(sample) <= len(manifest) / 3


def test_a_pack_of_all_rows_is_measured_with_all_rows(tiny_photos, tmp_path):
    """Other rows would need another pack, which the diagnosis would have to write."""
    manifest = scan(tiny_photos).only("train")
    packed = stages(manifest, cache="packed", pack_dir=str(tmp_path))
    assert drawn(manifest, packed, 5, 1) is manifest
