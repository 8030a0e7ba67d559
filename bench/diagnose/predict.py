"""What would change the rate: predictions from a diagnosis, each with what it assumes."""

from __future__ import annotations

from math import inf

from feedbench.bench.diagnose.ceilings import find_part
from feedbench.bench.diagnose.fixed import best_fixed
from feedbench.bench.diagnose.predict_cores import all_cores, shares_cores, twice_the_cores
from feedbench.bench.diagnose.prediction import Prediction, predict
from feedbench.bench.diagnose.rates import Rates, image_seconds
from feedbench.bench.diagnose.record import DiagnosisRecord
from feedbench.bench.diagnose.stall import NO_STALL

LEAST_GAIN = 0.03  # a smaller predicted gain is not called a remedy
_CACHE_SHARE = 0.8  # share of the available memory that a cache may take


def predictions(record: DiagnosisRecord, rates: Rates) -> list[Prediction]:
    """Return all predictions that the record allows: remedies first, then by gain."""
    candidates = [
        _one_more_accelerator(record, rates),
        twice_the_cores(record, rates),
        all_cores(record, rates),
        _fixed_parallelism(record, rates),
        _uint8_batches(record, rates),
        _faster_storage(record, rates),
        _files_in_memory(record, rates),
        _decoded_in_memory(record, rates),
        _other_image_size(record, rates),
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


def _one_more_accelerator(record: DiagnosisRecord, rates: Rates) -> Prediction | None:
    if shares_cores(record):
        return None
    prediction = predict(
        rates,
        "one more accelerator",
        "a second one of the same kind, fed by this loader on these cores",
        rates.loader,
        2 * rates.consumer,
        "exchanging gradients costs nothing",
    )
    return prediction.model_copy(update={"remedy": rates.stall < NO_STALL})


def _fixed_parallelism(record: DiagnosisRecord, rates: Rates) -> Prediction | None:
    """Predict the rate with the best fixed settings, if they are faster than AUTOTUNE."""
    fixed = best_fixed(record)
    if fixed is None or not fixed.faster:
        return None
    return predict(
        rates,
        "fixed parallelism",
        str(fixed),
        1 / (rates.cold_s + 1 / (rates.loader_warm * fixed.ratio.value)),
        rates.consumer,
        "the gain is the one measured for the loader alone with warm files; the extra time of cold "
        "files stays",
    )


def _uint8_batches(record: DiagnosisRecord, rates: Rates) -> Prediction | None:
    """Predict the rate with a quarter of the bytes to copy to the device; None if uint8 already."""
    transfer = find_part(record, "transfer")
    if transfer is None or rates.transfer is None or not transfer.moved_bytes:
        return None
    if transfer.moved_bytes <= record.decoded_bytes / record.images:
        return None
    copy_s = 1 / rates.transfer
    return predict(
        rates,
        "uint8 batches",
        "output=uint8: the device scales the pixels to the value range",
        rates.loader,
        1 / max(1 / rates.consumer - copy_s * 3 / 4, copy_s / 4),
        "the copy does not overlap the previous step, and its time is proportional to its bytes",
    )


def _faster_storage(record: DiagnosisRecord, rates: Rates) -> Prediction | None:
    if rates.storage is None:
        return None
    speedup = record.faster_storage
    return predict(
        rates,
        "faster storage",
        f"storage {speedup:g} times as fast",
        1 / (1 / rates.loader - rates.cold_s * (1 - 1 / speedup)),
        rates.consumer,
        "only the extra time of cold files shrinks",
    )


def _files_in_memory(record: DiagnosisRecord, rates: Rates) -> Prediction | None:
    if rates.storage is None:
        return None
    prediction = predict(
        rates,
        "files in memory",
        "encoded files cached in the first epoch",
        max(rates.loader, rates.loader_warm),
        rates.consumer,
        "from the second epoch on; memory is as fast as the warm page cache",
    )
    return _with_memory(prediction, record.encoded_bytes, record)


def _decoded_in_memory(record: DiagnosisRecord, rates: Rates) -> Prediction | None:
    if rates.decode is None:
        return None
    copy_rate = rates.assemble_serial or inf
    cost = "its copy" if rates.assemble_serial else "nothing (copy not measured: an upper bound)"
    prediction = predict(
        rates,
        "decoded images in memory",
        "uint8 images of the batch's size, as with cache=decoded",
        max(rates.loader, copy_rate),
        rates.consumer,
        f"from the second epoch on; a batch then costs {cost}; augmentation other than flips costs "
        "what it costs now",
    )
    if shares_cores(record):
        prediction = _with_freed_cores(prediction, rates, copy_rate)
    return _with_memory(prediction, record.decoded_bytes, record)


def _with_freed_cores(prediction: Prediction, rates: Rates, copy_rate: float) -> Prediction:
    """Account for the CPU time that a trainer on the same cores regains from the loader."""
    remaining = min(1.0, 1 / (copy_rate * rates.cpu_s))
    lost_s = max(0.0, 1 / rates.end_to_end - 1 / rates.consumer) * remaining
    cached_rate = min(copy_rate, 1 / (1 / rates.consumer + lost_s))
    rate = max(prediction.images_per_second, cached_rate)
    values = {
        "images_per_second": rate,
        "accelerator_utilization": rate / rates.consumer,
        "gain": rate / rates.end_to_end - 1,
        "assumes": f"{prediction.assumes}; the trainer's loss is proportional to the loader's CPU "
        "time",
    }
    return prediction.model_copy(update=values)


def _with_memory(prediction: Prediction, needs_bytes: int, record: DiagnosisRecord) -> Prediction:
    fits = needs_bytes <= _CACHE_SHARE * record.available_memory_bytes
    return prediction.model_copy(update={"needs_bytes": needs_bytes, "fits": fits})


def _other_image_size(record: DiagnosisRecord, rates: Rates) -> Prediction | None:
    """Predict the rate at another image size; None if the loader reads but does not decode.

    Resizing, copying and training scale with the number of pixels. Without a decoding stage it is
    unknown which part of the loader's time scales with them.
    """
    if rates.decode is None and rates.storage is not None:
        return None
    size = int(record.spec["image_size"])
    other_size = record.other_image_size or size // 2
    pixel_ratio = (other_size / size) ** 2
    seconds = image_seconds(rates)
    scaling_s = seconds.get("transformation", 0.0) + seconds.get("batch copy", 0.0)
    least_s = seconds.get("decoding", min(1.0, pixel_ratio) / rates.loader)
    prediction = predict(
        rates,
        "another image size",
        f"{other_size} px instead of {size}",
        1 / max(1 / rates.loader + scaling_s * (pixel_ratio - 1), least_s),
        rates.consumer / pixel_ratio,
        "the time of steps, resizing and copying is proportional to the pixels they produce; that "
        "of reading and decoding stays",
    )
    return prediction.model_copy(update={"remedy": False})
