"""The stall is divided among its causes, and the largest one is the bottleneck."""

import pytest

from feedbench.bench.diagnose.fit import fitted
from feedbench.bench.diagnose.rates import rates_of
from feedbench.bench.diagnose.stall import stall_of
from feedbench.bench.diagnose.stall_shares import bottleneck, stall_parts
from feedbench.bench.diagnose.verdict import derive_diagnosis

THREADS = {"kind": "threads", "workers": 2, "loader_cores": 2.0}
PIPELINED = {"kind": "pipelined", "workers": 16}
# Files behind a disk of 250 images per second; from memory the loader is faster than the consumer.
SLOW_DISK = {
    "state": "cold",
    "loader": 250,
    "loader_warm": 1_276,
    "end_to_end": 250,
    "consumer": 664,
    "storage": 252,
    "storage_serial": 200,
    "decode": 900,
}


def shares(record):
    return {part.cause: part.stall for part in stall_parts(rates_of(record))}


@pytest.mark.parametrize(
    ("rates", "expected"),
    [
        ({}, "decoding"),
        ({"transform": 450, "decode": 5_000}, "transform"),
        ({"batch_copy": 450, "decode": 5_000}, "batch copy"),
        ({"loader": 50, "end_to_end": 50}, "unexplained"),
        ({"loader": 50, "end_to_end": 50, **THREADS}, "unexplained"),
        ({"loader": 50, "end_to_end": 50, **THREADS, "locked": 0.3}, "unexplained"),
        ({"loader": 50, "end_to_end": 50, **THREADS, "locked": 0.95}, "Python"),
        ({"loader": 4_000, "decode": 5_000, "end_to_end": 995}, "accelerator"),
        ({"loader": 4_000, "decode": 5_000, "end_to_end": 600}, "interference"),
        ({"loader": 900, "end_to_end": 600, **THREADS}, "interference"),
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
        (
            {"state": "cold", "loader": 150, "loader_warm": 900, "end_to_end": 150, **PIPELINED},
            "storage",
        ),
        ({"loader": 500, "decode": 5_000, "storage": 500, "storage_serial": 150}, "storage"),
    ],
)
def test_the_bottleneck_is_named(make_record, rates, expected):
    assert bottleneck(rates_of(make_record(**rates))).cause == expected


@pytest.mark.parametrize("kind", [THREADS, PIPELINED, {"kind": None, "workers": None}], ids=str)
def test_a_slow_disk_is_the_cause_of_all_of_the_stall(make_record, kind):
    """From memory the same loader keeps the consumer busy."""
    record = make_record(**{**SLOW_DISK, **kind})
    stall = 1 - 250 / 664
    assert shares(record)["storage"] == pytest.approx(stall, abs=0.02)
    (storage,) = [part for part in stall_parts(rates_of(record)) if part.cause == "storage"]
    assert storage.rate_without == pytest.approx(664)


def test_a_cause_that_is_hidden_behind_another_has_no_share(make_record):
    parts = shares(make_record(**SLOW_DISK, **PIPELINED))
    assert parts["decoding"] == pytest.approx(0, abs=0.02)


def test_two_causes_that_have_to_go_together_share_alike(make_record):
    """Loader and storage allow 250 images per second each: neither alone gains anything."""
    rates = {**SLOW_DISK, "loader_warm": 250, "decode": 125, "transform": 10**6}
    parts = shares(make_record(**rates, batch_copy=10**6, kind="threads", workers=2))
    assert parts["storage"] == pytest.approx(parts["decoding"], abs=0.08)
    assert sum(parts.values()) == pytest.approx(1 - 250 / 664)


def test_in_line_a_cause_has_its_time_as_long_as_it_is_waited_for(make_record):
    """Of 2.5 ms per image, decoding takes 2; the accelerator could use 0.1."""
    parts = shares(make_record(consumer=10_000))
    assert parts["decoding"] == pytest.approx(2 / 2.5, abs=0.02)
    assert parts["transform"] == pytest.approx(0.25 / 2.5, abs=0.02)
    assert sum(parts.values()) == pytest.approx(1 - 400 / 10_000)


@pytest.mark.parametrize(
    "rates",
    [
        {},
        {"loader": 700, "end_to_end": 600, **THREADS},
        {"loader": 4_000, "decode": 5_000, "end_to_end": 600},
        {"loader": 400, "end_to_end": 410},
        {**SLOW_DISK, "loader": 300, **THREADS},
    ],
    ids=str,
)
def test_the_parts_add_up_to_the_stall(make_record, rates):
    """Also where the median of the paired ratios is not the ratio of the medians."""
    record = make_record(**rates)
    consumer = next(part for part in record.parts if part.name == "consumer")
    blocks = [
        block.model_copy(update={"seconds": block.seconds * factor})
        for block, factor in zip(consumer.blocks, (1.0, 1.3, 1.0), strict=True)
    ]
    parts = [
        part.model_copy(update={"blocks": blocks}) if part is consumer else part
        for part in record.parts
    ]
    record = record.model_copy(update={"parts": parts})
    parts = shares(record)
    assert sum(parts.values()) == pytest.approx(stall_of(record).value)
    assert all(-1e-9 <= share <= stall_of(record).value + 1e-9 for share in parts.values())


def test_the_interference_is_what_the_slower_of_both_does_not_explain(make_record):
    record = make_record(loader=1_000, consumer=1_000, end_to_end=800, **THREADS)
    rates = rates_of(record)
    assert fitted(rates).kappa == pytest.approx(0.25)
    assert fitted(rates).without(["interference"]).rate == pytest.approx(1_000)


def test_the_bottleneck_is_the_copy_if_it_takes_most_of_a_step(record_with_transfer):
    float32, uint8 = 4 * 3 * 224**2, 3 * 224**2
    diagnosis = derive_diagnosis(record_with_transfer(1_100, float32))
    assert diagnosis.bottleneck.cause == "transfer"
    assert "The bottleneck is the copy to the device" in diagnosis.verdict
    assert derive_diagnosis(record_with_transfer(1_100, uint8)).bottleneck.cause == "transfer"
    assert derive_diagnosis(record_with_transfer(9_000, float32)).bottleneck.cause == "accelerator"


def test_a_missing_stage_is_not_among_the_causes(record_with_full_cache):
    diagnosis = derive_diagnosis(record_with_full_cache(12_000, 20_000))
    causes = {part.cause for part in diagnosis.shares}
    assert causes == {"batch copy", "unexplained", "interference"}
    assert sum(part.stall for part in diagnosis.shares) == pytest.approx(0.75)
    assert diagnosis.bottleneck.cause == "unexplained"


def test_a_pack_of_pixels_can_be_limited_by_storage(make_record, without):
    record = make_record(storage_serial=500, storage=500, loader=490, end_to_end=490)
    diagnosis = derive_diagnosis(without(record, "decoding", "transform", "batch copy"))
    assert diagnosis.bottleneck.cause == "storage"


def test_the_work_of_a_loader_without_stages_is_unexplained(make_record, without):
    record = make_record(loader_cores=2.0, kind=None, workers=None)
    diagnosis = derive_diagnosis(without(record, "decoding", "transform", "batch copy"))
    assert diagnosis.bottleneck.cause == "unexplained"
    assert diagnosis.verdict.startswith("The bottleneck is the loader: with keras_pil, emulated:a1")
    causes = {part.cause for part in diagnosis.shares}
    assert causes == {"storage", "unexplained", "interference"}
    assert "twice the cores" not in {prediction.change for prediction in diagnosis.predictions}
