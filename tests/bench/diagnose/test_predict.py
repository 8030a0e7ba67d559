"""Predictions from made-up rates, and from published ones."""

from pathlib import Path

import pytest

from feedbench.bench.diagnose.predict import predictions, remedies
from feedbench.bench.diagnose.predict_cores import cores_needed
from feedbench.bench.diagnose.rates import rates_of
from feedbench.bench.diagnose.record import RECORD, Part, read_diagnosis

RESULTS = Path(__file__).parents[3] / "results"


def by_change(record):
    return {prediction.change: prediction for prediction in predictions(record, rates_of(record))}


@pytest.fixture
def predicted(make_record):
    """A function: the prediction of one change for a record with some rates; None if absent."""
    return lambda change, **rates: by_change(make_record(**rates)).get(change)


def test_twice_the_cores_double_only_a_loader_that_uses_them(predicted):
    rates = {"loader": 400, "end_to_end": 400, "decode": 205}
    assert predicted("twice the cores", **rates, loader_cores=2.0).gain == pytest.approx(1)
    idle = predicted("twice the cores", **rates, loader_cores=1.0)
    assert idle.gain == pytest.approx(0)
    assert "this loader kept 1.0 of 2 cores busy" in idle.assumes


def test_twice_the_cores_give_no_more_than_the_accelerator_takes(predicted):
    rates = {"loader": 700, "end_to_end": 700, "decode": 400, "loader_cores": 2.0}
    prediction = predicted("twice the cores", **rates)
    assert prediction.images_per_second == 1_000
    assert prediction.accelerator_utilization == 1


def test_new_cores_add_as_little_as_the_present_ones(make_record):
    record = make_record(loader=400, end_to_end=400, decode=205, loader_cores=2.0)
    rates = rates_of(record).model_copy(update={"decode": 205 * 1.6})
    (prediction,) = [
        prediction
        for prediction in predictions(record, rates)
        if prediction.change == "twice the cores"
    ]
    assert prediction.images_per_second == pytest.approx(400 * 1.6)


def test_unexplained_time_makes_twice_the_cores_a_range(predicted):
    """Of 2.5 ms per image, 1 ms is decoding and more than 1 ms is unexplained."""
    rates = {"loader": 400, "end_to_end": 400, "decode": 1_000, "loader_cores": 2.0}
    prediction = predicted("twice the cores", **rates)
    assert prediction.low < prediction.images_per_second
    assert prediction.images_per_second < prediction.high == pytest.approx(800)
    middle_s = (1 / prediction.low + 1 / prediction.high) / 2
    assert 1 / prediction.images_per_second == pytest.approx(middle_s)
    assert "half of the unexplained time" in prediction.assumes


@pytest.mark.parametrize("folder", [".", "at-224"])
def test_the_published_rate_of_two_cores_is_predicted_from_one(folder):
    published = RESULTS / "diagnose-clothing" / folder
    one, two = (read_diagnosis(published / name / RECORD) for name in ("one-core", "two-cores"))
    measured = rates_of(two).end_to_end
    prediction = by_change(one)["twice the cores"]
    assert prediction.images_per_second == pytest.approx(measured, rel=0.1)
    assert measured > 1.5 * rates_of(one).end_to_end


def test_time_spent_waiting_stays_with_twice_the_cores(predicted):
    rates = {"loader": 400, "end_to_end": 400, "decode": 205, "loader_cores": 1.6}
    prediction = predicted("twice the cores", **rates)
    assert prediction.images_per_second == pytest.approx(400 / (0.2 + 0.8 / 2))


def test_a_cache_scales_with_the_cores_as_far_as_the_batch_copy(record_with_full_cache):
    prediction = by_change(record_with_full_cache(3_000, 5_000))["twice the cores"]
    assert prediction.images_per_second == pytest.approx(5_000 * 2 * 5 / 6)
    assert "as measured for batch copy" in prediction.assumes


def test_storage_and_image_size_are_predicted_as_requested(make_record, predicted):
    slow = make_record(state="cold", loader=200, loader_warm=400, end_to_end=200)
    requested = {"faster_storage": 10.0, "other_image_size": 448}
    changes = by_change(slow.model_copy(update=requested))
    faster, larger = changes["faster storage"], changes["another image size"]
    assert faster.how == "storage 10 times as fast"
    assert 1 / faster.images_per_second == pytest.approx(
        1 / 400 + (1 / 200 - 1 / 400) / 10, rel=0.02
    )
    assert larger.how == "448 px instead of 224"
    assert larger.images_per_second < 200
    assert predicted("another image size").how == "112 px instead of 224"


def test_faster_storage_shortens_only_the_extra_time_of_cold_files(predicted):
    slow = {"state": "cold", "loader": 200, "loader_warm": 400, "end_to_end": 200}
    prediction = predicted("faster storage", **slow)
    assert 1 / prediction.images_per_second == pytest.approx(
        1 / 400 + (1 / 200 - 1 / 400) / 4, rel=0.02
    )
    assert predicted("files in memory", **slow).images_per_second == pytest.approx(400)
    assert predicted("faster storage").gain == 0


def test_decoded_images_are_a_remedy_only_if_they_fit_into_memory(make_record):
    record = make_record()
    assert by_change(record)["decoded images in memory"] in remedies(
        predictions(record, rates_of(record))
    )
    small = record.model_copy(update={"available_memory_bytes": 10**8})
    cached = by_change(small)["decoded images in memory"]
    assert (cached.fits, cached.needs_bytes) == (False, 1_000 * 3 * 224**2)
    assert cached not in remedies(predictions(small, rates_of(small)))


def test_remedies_are_sorted_by_gain(make_record):
    record = make_record()
    gains = [prediction.gain for prediction in remedies(predictions(record, rates_of(record)))]
    assert gains == sorted(gains, reverse=True)


def test_an_accelerator_is_a_remedy_only_if_the_present_one_is_busy(make_record):
    starved = make_record()
    best = remedies(predictions(starved, rates_of(starved)))
    assert "one more accelerator" not in [prediction.change for prediction in best]
    busy = make_record(loader=4_000, decode=5_000, end_to_end=1_000)
    first = remedies(predictions(busy, rates_of(busy)))[0]
    assert (first.change, first.images_per_second) == ("one more accelerator", 2_000)


def test_cores_needed_follow_from_cpu_time_per_image(make_record):
    record = make_record(loader=800, loader_cores=2.0, consumer=1_000)
    needed = cores_needed(record, rates_of(record))
    assert [(need.accelerators, need.cores) for need in needed] == [
        (1, 3),
        (2, 5),
        (4, 10),
        (8, 20),
    ]
    assert cores_needed(make_record(consumer_name="train"), rates_of(record)) is None


def test_no_number_of_cores_is_asked_for_a_loader_that_cannot_use_them(make_record):
    record = make_record(loader=400, loader_cores=1.0, consumer=1_000)
    assert cores_needed(record, rates_of(record)) is None


def test_a_trainer_on_the_same_cores_gains_from_more_of_them(predicted):
    rates = {"loader": 800, "decode": 450, "loader_cores": 2.0, "consumer": 20, "end_to_end": 19}
    prediction = predicted("twice the cores", consumer_name="train", **rates)
    assert prediction.images_per_second == pytest.approx(38, rel=0.01)
    assert predicted("one more accelerator", consumer_name="train", **rates) is None


def test_a_cache_frees_cores_for_a_trainer_on_the_same_cores(predicted):
    rates = {"loader": 800, "decode": 450, "loader_cores": 2.0, "consumer": 100, "end_to_end": 80}
    prediction = predicted("decoded images in memory", consumer_name="train", **rates)
    assert prediction.images_per_second == pytest.approx(100, rel=0.02)


def test_uint8_batches_shorten_the_copy_of_float32_ones(record_with_transfer):
    float32, uint8 = 4 * 3 * 224**2, 3 * 224**2
    prediction = by_change(record_with_transfer(1_100, float32))["uint8 batches"]
    step_s = 1 / 1_000 - 3 / 4 / 1_100
    assert prediction.images_per_second == pytest.approx(min(4_000, 1 / step_s) * 0.995)
    assert "uint8 batches" not in by_change(record_with_transfer(1_100, uint8))


def test_nothing_is_predicted_for_missing_stages(record_with_full_cache):
    changes = by_change(record_with_full_cache(12_000, 20_000))
    assert changes.keys() == {"twice the cores", "one more accelerator", "another image size"}
    assert changes["another image size"].images_per_second <= 4 * 5_000


def test_nothing_is_predicted_of_decoding_for_a_pack_of_pixels(make_record, without):
    record = make_record(storage_serial=500, storage=500, loader=490, end_to_end=490)
    changes = by_change(without(record, "decoding", "transform", "batch copy"))
    assert not {"decoded images in memory", "all cores decode", "another image size"} & set(changes)


def test_a_cache_without_a_measured_copy_is_an_upper_bound(make_record, without):
    record = without(make_record(consumer=30_000), "batch copy")
    prediction = by_change(record)["decoded images in memory"]
    assert prediction.images_per_second == pytest.approx(30_000)
    assert "an upper bound" in prediction.assumes


def test_every_prediction_states_what_it_assumes(make_record):
    record = make_record()
    assert all(prediction.assumes for prediction in predictions(record, rates_of(record)))


@pytest.mark.parametrize(("times", "expected"), [(2, 500), (4, 1_000), (8, 1_000)])
def test_storage_that_overlaps_the_work_is_the_limit_until_the_work_is(
    make_record, times, expected
):
    """Cold 250 images per second, which is what the disk delivers; warm 1,000."""
    record = make_record(
        state="cold",
        loader=250,
        loader_warm=1_000,
        end_to_end=250,
        consumer=5_000,
        storage=250,
        storage_serial=200,
        decode=600,
        kind="pipelined",
        workers=16,
    )
    record = record.model_copy(update={"faster_storage": times})
    faster = by_change(record)["faster storage"]
    assert (faster.high or faster.images_per_second) == pytest.approx(expected, rel=0.01)


def test_workers_that_wait_for_their_own_reads_wait_less_with_faster_storage(make_record):
    """Two workers, 16 ms for a read and 1 ms of work per image: 8.5 ms per image."""
    record = make_record(
        state="cold",
        loader=1 / 0.0085,
        loader_warm=2_000,
        end_to_end=1 / 0.0085,
        storage=5_000,
        storage_serial=1 / 0.016,
        decode=1_000,
        kind="threads",
        workers=2,
    )
    faster = by_change(record)["faster storage"]
    assert faster.images_per_second == pytest.approx(1 / (0.004 / 2 + 0.0005), rel=0.02)


def test_a_smaller_image_is_never_predicted_to_be_slower(predicted):
    """Decoding alone was measured slower than the loader that does it."""
    prediction = predicted("another image size", decode=300, loader=400, end_to_end=400)
    assert prediction.gain >= 0


def test_interference_is_not_carried_over_to_a_much_faster_loader(make_record):
    """Loader and consumer, alike in speed, lose a fifth; a cache leaves nothing to overlap."""
    record = make_record(loader=1_000, consumer=1_000, end_to_end=800, batch_copy=50_000)
    cached = by_change(record)["decoded images in memory"]
    assert cached.images_per_second == pytest.approx(1_000, rel=0.02)


@pytest.mark.parametrize(("kind", "workers"), [("in line", 1), ("threads", 2)])
def test_some_percent_of_a_slow_loader_are_no_time_of_a_fast_consumer(make_record, kind, workers):
    """End to end 10 % slower than loader and consumer in turn: 14 times the consumer's 0.05 ms."""
    rates = {"loader": 150, "consumer": 20_000, "end_to_end": 135, "decode": 160}
    record = make_record(**rates, batch_copy=20_000, kind=kind, workers=workers)
    cached = by_change(record)["decoded images in memory"]
    assert 1 / 20_000 < 1 / cached.images_per_second < 0.2e-3


def test_threads_on_all_cores_are_not_told_to_use_them(predicted):
    """On a busy machine they may be hardly faster than their parts one after the other."""
    rates = {"loader": 400, "end_to_end": 400, "kind": "threads", "loader_cores": 1.0}
    assert predicted("all cores decode", **rates, workers=2) is None
    assert predicted("all cores decode", **rates, workers=1) is not None
    assert predicted("all cores decode", **rates, workers=2, locked=0.9) is not None


def test_heavy_augmentation_stays_with_decoded_images_in_memory(make_record):
    spec = {"image_size": 224, "batch_size": 32, "augment": {"rotation": 30.0}}
    rates = {"loader": 400, "end_to_end": 400, "transform": 600, "decode": 1_500, "consumer": 9_000}
    record = make_record(**rates)
    plain = by_change(record)["decoded images in memory"]
    augmented = by_change(record.model_copy(update={"spec": spec}))["decoded images in memory"]
    assert plain.images_per_second > 5_000
    assert augmented.images_per_second < 600


@pytest.mark.parametrize("storage", [735, 880])
def test_little_work_beside_storage_at_its_limit_is_taken_to_overlap(make_record, storage):
    """The storage alone was measured 8 or 30 % faster than the loader, whose work takes 0.12 ms."""
    record = make_record(
        state="cold",
        loader=680,
        loader_warm=8_300,
        end_to_end=680,
        consumer=20_000,
        storage=storage,
        storage_serial=720,
        decode=6_000,
        transform=100_000,
        kind="threads",
        workers=2,
    )
    faster = by_change(record)["faster storage"]
    assert faster.images_per_second == pytest.approx(4 * 680, rel=0.02)


def test_unexplained_time_makes_another_image_size_a_range(predicted):
    """Of 10 ms per image, 7.65 are unexplained, and 0.35 are in proportion to the pixels."""
    prediction = predicted("another image size", loader=100, end_to_end=100, consumer=50_000)
    none_s, all_s = 1 / prediction.low, 1 / prediction.high
    assert none_s == pytest.approx(0.01 - 0.00035 * 3 / 4, rel=0.01)
    assert all_s == pytest.approx(0.01 - (0.00035 + 0.0076) * 3 / 4, rel=0.02)
    alike_s = none_s - (none_s - all_s) * 0.35 / (0.35 + 2)
    assert 1 / prediction.images_per_second == pytest.approx(alike_s, rel=0.01)


def test_another_image_size_takes_the_rate_of_the_loader_at_it(make_record, make_blocks):
    record = make_record(state="cold", loader=200, loader_warm=400, end_to_end=200)
    part = Part(name="loader, other size", cache_state="warm", blocks=make_blocks(1_200, 1, "warm"))
    record = record.model_copy(update={"parts": [part, *record.parts]})
    prediction = by_change(record)["another image size"]
    assert 1 / prediction.images_per_second == pytest.approx(1 / 1_200 + 1 / 400, rel=0.02)
    assert (prediction.low, prediction.high) == (None, None)
    assert "was measured at that size" in prediction.assumes


def test_the_cores_for_one_accelerator_are_a_part_of_those_for_several(make_record):
    record = make_record(loader=400, end_to_end=400, decode=205, loader_cores=2.0)
    record = record.model_copy(update={"consumer": "train", "on_gpu": True})
    both = record.model_copy(update={"devices": ["GPU:0", "GPU:1"]})
    one, two = (
        {need.accelerators: need.cores for need in cores_needed(each, rates_of(each))}
        for each in (record, both)
    )
    assert two[2] == one[1]
    assert two[8] == one[4]


@pytest.mark.parametrize(
    ("times", "slow_s"), [(1.1, None), (2, 0.000875 + 0.00125), (8, 0.000875 + 0.0003125)]
)
def test_storage_at_its_limit_does_not_show_whether_workers_wait_for_it(make_record, times, slow_s):
    """Cold 286 images per second, all that the storage delivers; two workers, 0.875 ms of work."""
    record = make_record(
        state="cold",
        loader=1 / 0.0035,
        loader_warm=1 / 0.000875,
        end_to_end=1 / 0.0035,
        consumer=20_000,
        storage=1 / 0.0035,
        storage_serial=200,
        decode=1 / 0.00135,
        kind="threads",
        workers=2,
    )
    record = record.model_copy(update={"faster_storage": times})
    faster = by_change(record)["faster storage"]
    overlapping_s = max(0.0035 / times, 0.000875)
    if slow_s is None:
        assert faster.low is None
        assert faster.images_per_second == pytest.approx(times / 0.0035, rel=0.02)
    else:
        assert faster.high == pytest.approx(1 / overlapping_s, rel=0.02)
        assert faster.low == pytest.approx(1 / slow_s, rel=0.02)
        assert 1 / faster.images_per_second == pytest.approx((overlapping_s + slow_s) / 2, rel=0.02)


def test_storage_that_two_workers_keep_busy_is_the_limit_whatever_it_does_alone(make_record):
    """9 ms per image, of which the storage alone takes 8.1; 1 ms of work, 2 for each worker."""
    record = make_record(
        state="cold",
        loader=1 / 0.009,
        loader_warm=1_000,
        end_to_end=1 / 0.009,
        consumer=20_000,
        storage=1 / 0.0081,
        storage_serial=1 / 0.0081,
        decode=1 / 0.0016,
        kind="threads",
        workers=2,
    )
    faster = by_change(record)["faster storage"]
    assert (faster.high or faster.images_per_second) == pytest.approx(4 / 0.009, rel=0.02)


def test_images_of_random_regions_are_not_cached(make_record):
    """Every epoch cuts other regions: each cache of decoded images refuses them."""
    record = make_record()
    assert "decoded images in memory" in by_change(record)
    augment = {"random_resized_crop": [0.08, 1.0]}
    cut = record.model_copy(update={"spec": {**record.spec, "augment": augment}})
    assert "decoded images in memory" not in by_change(cut)


def with_most_workers(record, most, cores):
    """The record of a loader with at most this many workers, on a machine with these cores."""
    parts = [part for part in record.parts if part.parallel in (None, 1, 4) or cores == 2]
    values = {"most_workers": most, "workers": min(most, cores), "cores": cores, "parts": parts}
    return record.model_copy(update=values)


@pytest.mark.parametrize(
    ("most", "cores", "gain", "why"),
    [
        (1, 1, 0.0, "this loader works on one image at a time"),
        (2, 2, 0.0, "this loader has 2 workers"),
        (3, 2, 0.5, "each new core adds 100% of a core"),
        (4, 2, 1.0, "each new core adds 100% of a core"),
    ],
)
def test_twice_the_cores_help_only_as_many_workers_as_there_are(
    make_record, most, cores, gain, why
):
    rates = {"loader": 200 * cores, "end_to_end": 200 * cores, "decode": 205, "consumer": 5_000}
    record = make_record(**rates, kind="threads", loader_cores=float(cores))
    record = with_most_workers(record, most, cores)
    prediction = by_change(record)["twice the cores"]
    assert prediction.gain == pytest.approx(gain, abs=0.01)
    assert why in prediction.assumes


def test_no_number_of_cores_is_named_for_a_loader_that_cannot_use_them(make_record):
    record = make_record(loader=200, loader_cores=1.0, consumer=1_000)
    one = with_most_workers(record, 1, 1)
    assert cores_needed(one, rates_of(one)) is None
    many = one.model_copy(update={"most_workers": None})
    assert cores_needed(many, rates_of(many))[0].cores == 5
