"""What would change the rate, predicted from a diagnosis; each with what it assumes."""

from __future__ import annotations

from math import ceil, inf
from typing import Literal, NamedTuple

from pydantic import BaseModel, ConfigDict

from feedbench.bench.diagnose.derive import NO_STALL, Rates, find_part, image_seconds
from feedbench.bench.diagnose.fixed import best_fixed
from feedbench.bench.diagnose.record import Diagnosed

_BUSY = 0.75  # of all cores in use, from which a loader is taken to be held up by them
_APART = 0.02  # of the rate, by which the ends of a range differ before it is worth a word
_ROOM = 0.8  # of the available memory that a cache may take
_FLEETS = (1, 2, 4, 8)

Change = Literal[
    "one more accelerator",
    "twice the cores",
    "faster storage",
    "files in memory",
    "decoded images in memory",
    "all cores decode",
    "fixed parallelism",
    "uint8 batches",
    "another image size",
]


class Prediction(BaseModel):
    """One change and what it is predicted to give.

    Attributes:
        accelerator_utilization: of all accelerators together.
        gain: over the rate that was measured; 0.5 is half as much again.
        low, high: images a second, where what is not known makes a range of it.
        needs_bytes: of memory, where it takes any; `fits` tells whether they are there.
        remedy: whether it can be done about the bottleneck, and is no mere question.
    """

    model_config = ConfigDict(extra="forbid")

    change: Change
    how: str
    images_per_second: float
    accelerator_utilization: float
    gain: float
    assumes: str
    low: float | None = None
    high: float | None = None
    needs_bytes: int | None = None
    fits: bool = True
    remedy: bool = True


class CoresNeeded(BaseModel):
    """How many cores keep so many accelerators of this kind busy."""

    model_config = ConfigDict(extra="forbid")

    accelerators: int
    cores: int


def predictions(record: Diagnosed, rates: Rates) -> list[Prediction]:
    """All that can be predicted, remedies first, by gain."""
    found = [
        _more_accelerators(record, rates),
        _more_cores(record, rates),
        _all_cores(record, rates),
        _fixed_parallelism(record, rates),
        _smaller_batches(record, rates),
        _faster_storage(record, rates),
        _encoded(record, rates),
        _decoded(record, rates),
        _other_size(record, rates),
    ]
    known = [one for one in found if one is not None]
    return sorted(known, key=lambda one: (not one.remedy, -one.gain))


def remedies(found: list[Prediction], least: float = 0.03) -> list[Prediction]:
    """What can be done and is predicted to gain at least so much, the best first."""
    return [one for one in found if one.remedy and one.fits and one.gain >= least]


def shares_cores(record: Diagnosed) -> bool:
    """Whether the consumer works on the very cores that prepare its batches."""
    return record.consumer == "train" and not record.on_gpu


def cores_needed(record: Diagnosed, rates: Rates) -> list[CoresNeeded] | None:
    """None where the consumer is no accelerator of its own."""
    if record.consumer == "drain" or shares_cores(record):
        return None
    return [
        CoresNeeded(accelerators=count, cores=ceil(count * rates.consumer * rates.cpu_s))
        for count in _FLEETS
    ]


def rate_with(rates: Rates, loader: float, consumer: float) -> float:
    """End to end, as far from the smaller of both as it was measured to be."""
    return min(loader, consumer) * rates.overlap


def _prediction(
    rates: Rates, change: Change, how: str, loader: float, consumer: float, assumes: str
) -> Prediction:
    rate = rate_with(rates, loader, consumer)
    return Prediction(
        change=change,
        how=how,
        images_per_second=rate,
        accelerator_utilization=rate / consumer,
        gain=rate / rates.whole - 1,
        assumes=assumes,
    )


def _more_accelerators(record: Diagnosed, rates: Rates) -> Prediction | None:
    if shares_cores(record):
        return None
    made = _prediction(
        rates,
        "one more accelerator",
        "a second of the same kind, fed by this loader on these cores",
        rates.loader,
        2 * rates.consumer,
        "two accelerators take twice what one does: their exchange of gradients costs nothing",
    )
    return made.model_copy(update={"remedy": 1 - rates.whole / rates.consumer < NO_STALL})


def _more_cores(record: Diagnosed, rates: Rates) -> Prediction | None:
    """Twice the cores halve the processors' share of an image's time, if all of them were in use.

    They do it as far as decoding was seen to spread over the cores that there are; where nothing is
    decoded, as far as another part was. Whether what no part explains (calls, locks, a runtime's
    own work) spreads as well, nothing shows: half of it is taken to, and the range goes from none
    to all. A trainer on the same cores has twice as many too.
    """
    consumer = 2 * rates.consumer if shares_cores(record) else rates.consumer
    how = f"{2 * record.cores} cores instead of {record.cores}"
    if rates.loader_cores < _BUSY * record.cores:
        assumes = (
            f"this loader kept {rates.loader_cores:.1f} of {record.cores} cores busy: it gains "
            "nothing from more of them"
        )
        return _prediction(rates, "twice the cores", how, rates.loader, consumer, assumes)
    spread = _spread(record, rates)
    if spread is None:
        return None
    slow, fast = _with_twice_the_cores(record, rates, spread)
    low, high = rate_with(rates, slow, consumer), rate_with(rates, fast, consumer)
    assumes = _spreads(record, spread, high / low)
    middle = 2 / (1 / slow + 1 / fast)
    made = _prediction(rates, "twice the cores", how, middle, consumer, assumes)
    return made.model_copy(update={"low": low, "high": high})


class _Spread(NamedTuple):
    """How a part of a loader was seen to spread over the cores: what each adds, in cores."""

    part: str
    share: float


def _spread(record: Diagnosed, rates: Rates) -> _Spread | None:
    """Of the first part that was measured on one core and on all; None where none was."""
    measured = (
        ("decoding", rates.decode_one, rates.decode),
        ("transformation", rates.transform_one, rates.transform),
        ("the batch copy", rates.assemble_one, rates.assemble),
    )
    for part, one, every in measured:
        if one is not None and every is not None:
            return _Spread(part, min(1.0, every / one / record.cores))
    return None


def _with_twice_the_cores(record: Diagnosed, rates: Rates, spread: _Spread) -> tuple[float, float]:
    """The loader's rate if nothing that no part explains spreads, and if all of it does."""
    seconds = 1 / rates.loader
    waiting = max(0.0, seconds - rates.loader_cores / record.cores / rates.loader)
    busy = seconds - waiting
    unexplained = min(busy, image_seconds(rates)[rates.rest])
    times = max(1.0, 2 * spread.share)
    slow = waiting + unexplained + (busy - unexplained) / times
    return 1 / slow, 1 / (waiting + busy / times)


def _spreads(record: Diagnosed, spread: _Spread, apart: float) -> str:
    said = (
        f"the new cores are as fast as these, and add {spread.share:.0%} of it each, "
        f"as {spread.part} shows"
        if record.cores > 1
        else f"the new core is as fast as this one, and {spread.part} spreads over both"
    )
    if apart < 1 + _APART:
        return said
    return f"{said}; half of what no part explains spreads too (the range: none of it, all of it)"


def _all_cores(record: Diagnosed, rates: Rates) -> Prediction | None:
    """What the parts reach side by side, where the loader does them in a row on one core."""
    if record.cores < 2 or not rates.in_line or rates.decode is None:
        return None
    copy = _seconds(rates.assemble_one) / record.cores
    work = 1 / rates.decode + _seconds(rates.transform) + copy
    loader = max(rates.loader, 1 / max(_seconds(rates.storage), work))
    how = f"workers, or a loader with threads of its own: {record.cores} cores prepare images"
    assumes = "nothing is lost between the parts and to locks: an upper bound; bench measures it"
    consumer = rates.consumer
    return _prediction(rates, "all cores decode", how, loader, consumer, assumes)


def _fixed_parallelism(record: Diagnosed, rates: Rates) -> Prediction | None:
    """What the best fixed setting gave, where it was faster than AUTOTUNE."""
    fixed = best_fixed(record)
    if fixed is None or not fixed.faster:
        return None
    loader = 1 / (rates.storage_s + 1 / (rates.loader_warm * fixed.ratio.value))
    named = " ".join(f"{name}={value}" for name, value in fixed.settings.items())
    assumes = "as it was measured alone, with warm files; what the disk adds stays"
    return _prediction(rates, "fixed parallelism", named, loader, rates.consumer, assumes)


def _smaller_batches(record: Diagnosed, rates: Rates) -> Prediction | None:
    """A quarter of the bytes to copy to the device, where they are float32 now."""
    copied = find_part(record, "transfer")
    if copied is None or rates.transfer is None or not copied.moved_bytes:
        return None
    if copied.moved_bytes <= record.decoded_bytes / record.images:
        return None
    copy = 1 / rates.transfer
    consumer = 1 / max(1 / rates.consumer - copy * 3 / 4, copy / 4)
    how = "output=uint8: the device brings the pixels into their range"
    assumes = "no step hides the copy before it, and a copy takes time by its bytes"
    return _prediction(rates, "uint8 batches", how, rates.loader, consumer, assumes)


def _faster_storage(record: Diagnosed, rates: Rates) -> Prediction | None:
    if rates.storage is None:
        return None
    faster = record.faster_storage
    loader = 1 / (1 / rates.loader - rates.storage_s * (1 - 1 / faster))
    how = f"storage {faster:g} times as fast"
    assumes = "of an image's time only what cold files add to warm ones becomes shorter"
    return _prediction(rates, "faster storage", how, loader, rates.consumer, assumes)


def _seconds(rate: float | None) -> float:
    """Of a part for an image; one that the loader does not have takes none."""
    return 0.0 if rate is None else 1 / rate


def _encoded(record: Diagnosed, rates: Rates) -> Prediction | None:
    if rates.storage is None:
        return None
    made = _prediction(
        rates,
        "files in memory",
        "the files' bytes kept in memory from the first epoch on",
        max(rates.loader, rates.loader_warm),
        rates.consumer,
        "from the second epoch on; memory is as fast as the warm page cache",
    )
    return _with_memory(made, record.encoded_bytes, record)


def _decoded(record: Diagnosed, rates: Rates) -> Prediction | None:
    if rates.decode is None:
        return None
    copied = rates.assemble_one or inf
    cost = (
        "its copy" if rates.assemble_one else "nothing (its copy was not measured: an upper bound)"
    )
    made = _prediction(
        rates,
        "decoded images in memory",
        "decoded images kept at the batch's size, uint8, as cache=decoded does",
        max(rates.loader, copied),
        rates.consumer,
        f"from the second epoch on; a batch then costs {cost}, and changes drawn anew but for "
        "flips are made as now",
    )
    if shares_cores(record):
        made = _freed(made, rates, copied)
    return _with_memory(made, record.decoded_bytes, record)


def _freed(made: Prediction, rates: Rates, copied: float) -> Prediction:
    """What interference takes shrinks with the processor time that the loader takes."""
    left = min(1.0, 1 / (copied * rates.cpu_s))
    lost = max(0.0, 1 / rates.whole - 1 / rates.consumer) * left
    rate = max(made.images_per_second, min(copied, 1 / (1 / rates.consumer + lost)))
    changed = {
        "images_per_second": rate,
        "accelerator_utilization": rate / rates.consumer,
        "gain": rate / rates.whole - 1,
        "assumes": f"{made.assumes}; the trainer loses time to the loader by the processor time "
        "that it takes",
    }
    return made.model_copy(update=changed)


def _with_memory(made: Prediction, needs: int, record: Diagnosed) -> Prediction:
    fits = needs <= _ROOM * record.available_memory_bytes
    return made.model_copy(update={"needs_bytes": needs, "fits": fits})


def _other_size(record: Diagnosed, rates: Rates) -> Prediction | None:
    """Pixels to make, to copy and to train on go by the square of the side.

    Of a loader that is not seen to decode what it reads, nothing shows what of it goes by pixels.
    """
    if rates.decode is None and rates.storage is not None:
        return None
    side = int(record.spec["image_size"])
    other = record.other_image_size or side // 2
    pixels = (other / side) ** 2
    seconds = image_seconds(rates)
    made_s = seconds.get("transformation", 0.0) + seconds.get("batch copy", 0.0)
    least_s = seconds.get("decoding", min(1.0, pixels) / rates.loader)
    loader = 1 / max(1 / rates.loader + made_s * (pixels - 1), least_s)
    made = _prediction(
        rates,
        "another image size",
        f"{other} px instead of {side}",
        loader,
        rates.consumer / pixels,
        "steps, resizing and copying take time by the pixels that they make; reading and decoding "
        "stay as they are",
    )
    return made.model_copy(update={"remedy": False})
