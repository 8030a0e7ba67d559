"""What would change the rate: predictions from a diagnosis, each with what it assumes."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from statistics import median

from feedbench.bench.diagnose.ceilings import find_part, with_proven_blocks
from feedbench.bench.diagnose.fit import fitted
from feedbench.bench.diagnose.fixed import best_fixed
from feedbench.bench.diagnose.model import Cause, Model
from feedbench.bench.diagnose.predict_cores import all_cores, shares_cores, twice_the_cores
from feedbench.bench.diagnose.predict_service import no_network, one_more_worker
from feedbench.bench.diagnose.prediction import Prediction, predict
from feedbench.bench.diagnose.rates import Rates
from feedbench.bench.diagnose.record import DiagnosisRecord
from feedbench.bench.diagnose.stall import NO_STALL
from feedbench.loaders import Augment, BatchSpec

LEAST_GAIN = 0.03  # a smaller predicted gain is not called a remedy
_PER_PIXEL: tuple[Cause, ...] = ("transform", "batch copy")  # in proportion to the image's pixels
_CACHE_SHARE = 0.8  # share of the available memory that a cache may take


def predictions(record: DiagnosisRecord, rates: Rates) -> list[Prediction]:
    """Return all predictions that the record allows: remedies first, then by gain."""
    model = fitted(rates)
    candidates = [
        _one_more_accelerator(record, rates, model),
        twice_the_cores(record, rates, model),
        all_cores(record, rates, model),
        _fixed_parallelism(record, rates, model),
        _uint8_batches(record, rates, model),
        one_more_worker(record, model),
        no_network(model),
        _faster_storage(record, rates, model),
        _files_in_memory(record, rates, model),
        _decoded_in_memory(record, rates, model),
        _other_image_size(record, rates, model),
    ]
    available = [prediction for prediction in candidates if prediction is not None]
    return sorted(available, key=lambda prediction: (not prediction.remedy, -prediction.gain))


def remedies(candidates: list[Prediction], least: float = LEAST_GAIN) -> list[Prediction]:
    """Return the predictions that are possible here and gain at least `least`."""
    return [
        prediction
        for prediction in candidates
        if prediction.remedy and prediction.fits and prediction.gain >= least
    ]


def _one_more_accelerator(record: DiagnosisRecord, rates: Rates, model: Model) -> Prediction | None:
    if shares_cores(record):
        return None
    prediction = predict(
        model,
        "one more accelerator",
        "a second one of the same kind, fed by this loader on these cores",
        model.with_consumer(model.consumer_s / 2),
        "exchanging gradients costs nothing",
    )
    return prediction.model_copy(update={"remedy": rates.stall < NO_STALL})


def _fixed_parallelism(record: DiagnosisRecord, rates: Rates, model: Model) -> Prediction | None:
    """Predict the rate with the best fixed settings, if they are faster than AUTOTUNE."""
    fixed = best_fixed(record)
    if fixed is None or not fixed.faster:
        return None
    return predict(
        model,
        "fixed parallelism",
        str(fixed),
        model.with_work(dict.fromkeys(model.work_s, 1 / fixed.ratio.value)),
        "the gain is the one measured for the loader alone with warm files; the time that it waits "
        "for cold ones stays",
    )


def _uint8_batches(record: DiagnosisRecord, rates: Rates, model: Model) -> Prediction | None:
    """Predict the rate with a quarter of the bytes to copy to the device; None if uint8 already."""
    transfer = find_part(record, "transfer")
    if transfer is None or rates.transfer is None or not transfer.moved_bytes:
        return None
    if transfer.moved_bytes <= record.decoded_bytes / record.images:
        return None
    copy_s = 1 / rates.transfer
    return predict(
        model,
        "uint8 batches",
        "output=uint8: the device scales the pixels to the value range",
        model.with_consumer(max(model.consumer_s - copy_s * 3 / 4, copy_s / 4)),
        "the copy does not overlap the previous step, and its time is proportional to its bytes",
    )


def _faster_storage(record: DiagnosisRecord, rates: Rates, model: Model) -> Prediction | None:
    """Predict the rate with faster storage.

    Storage that is the limit of all workers does not show whether each of them would wait for its
    own reads once it no longer is. The prediction is the middle of both, and its range their rates.
    """
    if rates.storage is None:
        return None
    times = record.faster_storage
    fast = model.with_faster_storage(times)
    slow = model.with_faster_storage(times, in_turn=True)
    unknown = slow.rate < (1 - LEAST_GAIN) * fast.rate
    assumes = f"each read waits 1/{times:g} as long; the loader's own work stays"
    if unknown:
        assumes += " (range: workers wait for their reads, or reads overlap all work)"
    overlapping_s = max(fast.storage_s, sum(fast.work_s.values()))
    middle = replace(fast, storage_s=(overlapping_s + slow.storage_s) / 2)
    how = f"storage {times:g} times as fast"
    prediction = predict(model, "faster storage", how, middle if unknown else fast, assumes)
    range_ = {"low": slow.rate, "high": fast.rate} if unknown else {}
    return prediction.model_copy(update=range_)


def _files_in_memory(record: DiagnosisRecord, rates: Rates, model: Model) -> Prediction | None:
    if rates.storage is None:
        return None
    prediction = predict(
        model,
        "files in memory",
        "encoded files cached in the first epoch",
        model.with_loader(min(model.loader_s, 1 / rates.loader_warm)),
        "from the second epoch on; memory is as fast as the warm page cache",
    )
    return _with_memory(prediction, record.encoded_bytes, record)


def _decoded_in_memory(record: DiagnosisRecord, rates: Rates, model: Model) -> Prediction | None:
    """Predict with a cache; None if nothing is decoded, or each epoch cuts other regions."""
    if rates.decode is None or _augment_of(record).random_resized_crop is not None:
        return None
    left: set[Cause] = {"batch copy"}
    cost = "its copy" if rates.copy_serial else "nothing (copy not measured: an upper bound)"
    if _augments_more_than_flips(record):
        left |= {"transform", rates.remainder}
        cost = "its copy, its augmentation, and what no part explains"
    gone = [cause for cause in model.work_s if cause not in left]
    prediction = predict(
        model,
        "decoded images in memory",
        "uint8 images of the batch's size, as with cache=decoded",
        model.without([*gone, "storage"]),
        f"from the second epoch on; a batch then costs {cost}",
    )
    return _with_memory(prediction, record.decoded_bytes, record)


def _augments_more_than_flips(record: DiagnosisRecord) -> bool:
    augment = _augment_of(record).on_host
    return bool(augment) and not augment.only_flips


def _augment_of(record: DiagnosisRecord) -> Augment:
    return BatchSpec.model_validate(record.spec).augment


def _with_memory(prediction: Prediction, needs_bytes: int, record: DiagnosisRecord) -> Prediction:
    fits = needs_bytes <= _CACHE_SHARE * record.available_memory_bytes
    return prediction.model_copy(update={"needs_bytes": needs_bytes, "fits": fits})


def _other_image_size(record: DiagnosisRecord, rates: Rates, model: Model) -> Prediction | None:
    """Predict the rate at another image size: that of the loader alone at it, if it was measured.

    None if its decoding was not measured alone either: it is then unknown which part of the
    loader's time is in proportion to the pixels. Whether the time that no part explains is, is
    unknown in any case: the prediction assumes as much of it as of the explained work, its range
    none and all of it.
    """
    size = int(record.spec["image_size"])
    pixels = (record.other_size / size) ** 2
    consuming = model.with_consumer(model.consumer_s * pixels)
    how = f"{record.other_size} px instead of {size}"
    if (ratio := _other_size_ratio(record)) is not None:
        changed = consuming.with_work(dict.fromkeys([*model.work_s, "batch copy"], 1 / ratio))
        assumes = (
            "the loader alone was measured at that size, with warm files; steps are in proportion "
            "to the pixels"
        )
        prediction = predict(model, "another image size", how, changed, assumes)
        return prediction.model_copy(update={"remedy": False})
    if rates.decode is None and (rates.storage is not None or rates.service is not None):
        return None
    share = _share_of(_PER_PIXEL, model.work_s, rates.remainder)
    none, alike, every = (
        consuming.with_work({**dict.fromkeys(_PER_PIXEL, pixels), rates.remainder: factor})
        for factor in (1.0, 1 - share + share * pixels, pixels)
    )
    prediction = predict(
        model,
        "another image size",
        how,
        alike,
        "steps, transform and batch copy are in proportion to the pixels, and the unexplained time "
        "shrinks as much as the explained; reading and decoding stay (range: none to all of the "
        "unexplained time)",
    )
    low, high = sorted((none.rate, every.rate))
    return prediction.model_copy(update={"remedy": False, "low": low, "high": high})


def _other_size_ratio(record: DiagnosisRecord) -> float | None:
    """Return the loader's rate at the other image size ÷ its present one, from paired blocks."""
    other, present = find_part(record, "loader, other size"), find_part(record, "loader", "warm")
    if other is None or present is None:
        return None
    pairs = with_proven_blocks(other).rates, with_proven_blocks(present).rates
    both = pairs[0].keys() & pairs[1].keys()
    return median(pairs[0][index] / pairs[1][index] for index in both) if both else None


def _share_of(causes: Collection[Cause], work_s: Mapping[Cause, float], remainder: Cause) -> float:
    """Return the share of some causes in the work that is explained."""
    explained = {cause: part_s for cause, part_s in work_s.items() if cause != remainder}
    total_s = sum(explained.values())
    return sum(explained.get(cause, 0.0) for cause in causes) / total_s if total_s else 0.0
