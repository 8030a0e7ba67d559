"""Fits the model to measured rates: it then gives those of the loader and end to end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from feedbench.bench.diagnose.fit_network import network_of, without_network
from feedbench.bench.diagnose.model import Cause, Model, joined_s
from feedbench.bench.diagnose.rates import Rates

# A loader that reaches this share of what its storage, or the thread that copies its batches, can
# do at most is limited by it.
_AT_THE_LIMIT = 0.85
# A difference between end to end and the slower of loader and consumer that is at most this large
# may be noise: it then stays the same fraction whatever is changed.
_NOISE = 0.05
# The most, as kappa, that loader and consumer are taken to slow each other. What goes beyond slows
# both alike, whatever is changed: otherwise some percent of a slow loader would be many times the
# time of a fast consumer.
_MOST_KAPPA = 2.0


# Loader and storage are measured one after the other, and differ by this much where they are equal.
_STORAGE_NOISE = 0.1
_DEEPER = 1.5  # gain by more reads in flight from which on it is the workers that limit them


def fitted(rates: Rates) -> Model:
    """Return the model whose loader and end-to-end rates are those that were measured.

    What the parts do not explain of the loader's time with warm files is work of its own. What
    cold files take longer is time of the storage, whatever the storage alone was measured to take.
    The network of a service comes after all of this, and overlaps it as the loader's rate shows.
    """
    network = network_of(rates)
    made = _making(without_network(rates, network))
    model = replace(made, network_s=network.seconds, network_kappa=network.kappa)
    return _with_measured_overlap(model, rates)


def _making(rates: Rates) -> Model:
    """Return the model of batches that cost no time to send."""
    warm_s = min(1 / rates.loader, 1 / rates.loader_warm)
    warm_storage_s = _storage_s(rates.warm_wait_s, rates.storage_warm, rates)
    copy_s = _limit_s(_copy_s(rates), warm_s)
    model = Model(
        work_s=_work(rates, warm_s, warm_storage_s, copy_s),
        consumer_s=1 / rates.consumer,
        storage_s=_storage_s(rates.read_wait_s, rates.storage, rates),
        copy_s=copy_s,
    )
    return _with_measured_loader(model, rates)


def part_seconds(rates: Rates) -> dict[Cause, float]:
    """Return the seconds of work per image of each part that the loader has."""
    parts: Mapping[Cause, tuple[float | None, float | None]] = {
        "decoding": (rates.decode_serial, rates.decode),
        "transform": (rates.transform_serial, rates.transform),
        "batch copy": (rates.copy_serial, rates.copy_all),
    }
    seconds: dict[Cause, float] = {
        cause: 1 / rates.on_workers(serial, parallel)
        for cause, (serial, parallel) in parts.items()
        if serial is not None
    }
    reads_s = 0.0 if rates.storage is None else rates.read_cpu_s / rates.cores_used
    if rates.storage is not None:
        seconds["storage"] = reads_s
    if rates.service is not None:
        seconds["service workers"] = max(0.0, 1 / rates.service - reads_s)
    return seconds


def _storage_s(wait_s: float, best: float | None, rates: Rates) -> float:
    """Return the seconds per image of as many reads in flight as the loader has workers.

    Args:
        wait_s: for which a single read waits.
        best: rate with as many reads in flight as are fastest.
    """
    if best is None or not wait_s:
        return 0.0
    return max(1 / best, wait_s / rates.workers if rates.workers else 0.0)


def _work(rates: Rates, warm_s: float, storage_s: float, copy_s: float) -> dict[Cause, float]:
    """Return the seconds of work per image by cause, with what no part explains of `warm_s`.

    Parts that overlap in a way that the model does not know are shortened alike. Work that is
    hidden behind a limit leaves nothing to explain.
    """
    parts_s = part_seconds(rates)
    explained_s = sum(parts_s.values())
    limit_s = max(copy_s, _limit_s(storage_s, warm_s))
    if explained_s > warm_s:
        shorter = warm_s / explained_s
        return {cause: part_s * shorter for cause, part_s in parts_s.items()}
    unexplained_s = 0.0 if limit_s else max(0.0, warm_s - storage_s - explained_s)
    return {**parts_s, rates.remainder: unexplained_s}


def _limit_s(seconds: float, loader_s: float) -> float:
    """Return the loader's own time where a limit explains it; 0 where it does not limit."""
    return loader_s if seconds >= _AT_THE_LIMIT * loader_s else 0.0


def _copy_s(rates: Rates) -> float:
    return _seconds(rates.copy_serial) if rates.copies_apart else 0.0


def _waits_in_turn(rates: Rates) -> bool:
    """Return whether more reads in flight than the loader has workers would be faster."""
    if rates.storage is None or not rates.workers:
        return False
    return rates.read_wait_s / rates.workers > _DEEPER / rates.storage


def _saturates_storage(rates: Rates) -> bool:
    """Return whether the loader has more reads in flight than the storage can use.

    The storage must also take most of the loader's time.
    """
    if rates.storage is None or not rates.workers or not rates.read_wait_s:
        return False
    is_slow = 2 * rates.loader > rates.storage
    return is_slow and rates.workers / rates.read_wait_s > _DEEPER * rates.storage


def _with_measured_loader(model: Model, rates: Rates) -> Model:
    """Choose how far storage and work overlap by the rate of the loader.

    Storage that seems slower than the loader is as slow as it. If more is missing than storage and
    work take one after the other, the storage takes that; so little work does not show how both
    overlap: it does not, where workers wait for their own reads, and it does where the storage is
    at its limit.
    """
    loader_s, work_s = 1 / rates.loader, sum(model.work_s.values())
    if _waits_in_turn(rates) and model.storage_s > work_s:
        return replace(model, storage_s=loader_s - work_s, storage_kappa=1.0)
    storage_s = min(model.storage_s, loader_s)
    is_all = storage_s >= max(work_s, loader_s / (1 + _STORAGE_NOISE))
    # While one worker works, the others keep the storage busy.
    is_kept_busy = _saturates_storage(rates) and storage_s >= (rates.workers or 1) * work_s
    if is_all or is_kept_busy:
        return _with_storage_at_its_limit(model, rates)
    missing_s = loader_s - max(storage_s, work_s)
    overlapping_s = min(storage_s, work_s)
    if missing_s > overlapping_s and _saturates_storage(rates):
        return _with_storage_at_its_limit(model, rates)
    if missing_s > overlapping_s:
        return replace(model, storage_s=loader_s - work_s, storage_kappa=1.0)
    kappa = missing_s / overlapping_s if overlapping_s else 0.0
    return replace(model, storage_s=storage_s, storage_kappa=kappa)


def _with_storage_at_its_limit(model: Model, rates: Rates) -> Model:
    loader_s = 1 / rates.loader
    longest_s = max(0.0, loader_s - sum(model.work_s.values()))
    wait_s = min(longest_s, rates.read_wait_s / rates.workers) if rates.workers else 0.0
    return replace(model, storage_s=loader_s, storage_kappa=0.0, wait_s=wait_s)


def _with_measured_overlap(model: Model, rates: Rates) -> Model:
    """Choose how far loader and consumer overlap by the rate end to end."""
    slower_s = max(model.loader_s, model.consumer_s)
    excess_s = 1 / rates.end_to_end - slower_s
    if excess_s <= _NOISE * slower_s:
        return replace(model, slowdown=1 / rates.end_to_end / slower_s)
    kappa = min(_MOST_KAPPA, excess_s / min(model.loader_s, model.consumer_s))
    both_s = joined_s(model.loader_s, model.consumer_s, kappa)
    return replace(model, kappa=kappa, slowdown=1 / rates.end_to_end / both_s)


def _seconds(rate: float | None) -> float:
    return 0.0 if rate is None else 1 / rate
