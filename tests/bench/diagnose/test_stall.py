"""The stall is divided among its causes, and the largest one is the bottleneck."""

import pytest

from feedbench.bench.diagnose.ceilings import ceilings
from feedbench.bench.diagnose.rates import image_seconds, rates_of
from feedbench.bench.diagnose.stall import bottleneck, stall_of, stall_parts
from feedbench.bench.diagnose.verdict import derive_diagnosis


@pytest.mark.parametrize(
    ("rates", "expected"),
    [
        ({}, "decoding"),
        ({"transform": 450, "decode": 5_000}, "transformation"),
        ({"assemble": 450, "decode": 5_000}, "batch copy"),
        ({"loader": 50, "end_to_end": 50}, "Python"),
        ({"loader": 4_000, "decode": 5_000, "end_to_end": 995}, "accelerator"),
        ({"loader": 4_000, "decode": 5_000, "end_to_end": 600}, "interference"),
        ({"loader": 900, "loader_cores": 2.0, "end_to_end": 600}, "interference"),
        (
            {
                "state": "cold",
                "loader": 100,
                "loader_warm": 400,
                "end_to_end": 100,
                "storage_serial": 150,
            },
            "storage",
        ),
        # A loader that reads ahead: only cold against warm shows that storage is slow.
        ({"state": "cold", "loader": 150, "loader_warm": 900, "end_to_end": 150}, "storage"),
        ({"loader": 500, "decode": 5_000, "storage": 500, "storage_serial": 150}, "storage"),
    ],
)
def test_the_bottleneck_is_named(make_record, rates, expected):
    assert bottleneck(rates_of(make_record(**rates))).cause == expected


def test_the_parts_add_up_to_the_stall(make_record):
    record = make_record(loader=700, loader_cores=2.0, end_to_end=600)
    parts = {part.cause: part.stall for part in stall_parts(rates_of(record))}
    assert sum(parts.values()) == pytest.approx(0.4)
    assert parts["interference"] == pytest.approx(0.1)
    assert stall_of(record).value == pytest.approx(0.4)


@pytest.mark.parametrize("loader", [400, 900])
def test_the_causes_add_up_to_the_time_per_image(make_record, loader):
    rates = rates_of(make_record(loader=loader, loader_cores=2.0))
    assert rates.sequential == (loader == 400)
    assert sum(image_seconds(rates).values()) >= 1 / loader * 0.999


def test_the_bottleneck_is_the_copy_if_it_takes_most_of_a_step(record_with_transfer):
    float32, uint8 = 4 * 3 * 224**2, 3 * 224**2
    diagnosis = derive_diagnosis(record_with_transfer(1_100, float32))
    assert diagnosis.bottleneck.cause == "transfer"
    assert "The bottleneck is the copy to the device" in diagnosis.verdict
    assert derive_diagnosis(record_with_transfer(1_100, uint8)).bottleneck.cause == "transfer"
    assert derive_diagnosis(record_with_transfer(9_000, float32)).bottleneck.cause == "accelerator"


def test_a_block_without_a_proven_cache_state_is_discarded(make_record):
    record = make_record()
    index = next(index for index, part in enumerate(record.parts) if part.name == "loader")
    part = record.parts[index]
    *proven, last = part.blocks
    from_disk = {"disk_read_bytes": last.consumed_bytes, "images": last.images * 10}
    part = part.model_copy(update={"blocks": [*proven, last.model_copy(update=from_disk)]})
    parts = [*record.parts[:index], part, *record.parts[index + 1 :]]
    record = record.model_copy(update={"parts": parts})
    (ceiling,) = [ceiling for ceiling in ceilings(record) if ceiling.name == "loader"]
    assert ceiling.blocks == 2
    assert len(ceiling.unproven) == 1
    assert ceiling.unproven[0].startswith("not warm: 100% of the bytes")
    assert ceiling.images_per_second.value <= 400


def test_a_missing_stage_is_not_among_the_causes(record_with_full_cache):
    diagnosis = derive_diagnosis(record_with_full_cache(12_000, 20_000))
    assert {part.cause for part in diagnosis.shares} == {"batch copy", "Python", "interference"}
    assert sum(part.stall for part in diagnosis.shares) == pytest.approx(0.75)
    assert diagnosis.bottleneck.cause == "Python"


def test_a_pack_of_pixels_can_be_limited_by_storage(make_record, without):
    record = make_record(storage_serial=500, storage=500, loader=490, end_to_end=490)
    diagnosis = derive_diagnosis(without(record, "decode", "transform", "assemble"))
    assert diagnosis.bottleneck.cause == "storage"


def test_the_work_of_a_loader_without_stages_is_unexplained(make_record, without):
    record = without(make_record(loader_cores=2.0), "decode", "transform", "assemble")
    diagnosis = derive_diagnosis(record)
    assert diagnosis.bottleneck.cause == "unexplained"
    assert diagnosis.verdict.startswith("The bottleneck is the loader: with keras_pil, emulated:a1")
    causes = {part.cause for part in diagnosis.shares}
    assert causes == {"storage", "unexplained", "interference"}
    assert "twice the cores" not in {prediction.change for prediction in diagnosis.predictions}
