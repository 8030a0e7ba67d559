"""Fits the model to measured rates: it then gives those of the loader and end to end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from math import inf, isclose

from feedbench.bench.diagnose.model import Cause, Model
from feedbench.bench.diagnose.rates import Rates

# A loader that reaches this share of what its storage, or the thread that copies its batches, can
# do at most is limited by it.
_AT_THE_LIMIT = 0.85
# A difference between end to end and the slower of loader and consumer that is at most this large
# may be noise: it then stays the same fraction whatever is changed.
_NOISE = 0.05


def fitted(rates: Rates) -> Model:
    """Return the model whose loader and end-to-end rates are those that were measured.

    What the parts do not explain of the loader's time with warm files is work of its own. What
    cold files take longer is time of the storage, whatever the storage alone was measured to take.
    """
    loader_s = 1 / rates.loader
    warm_s = min(loader_s, 1 / rates.loader_warm)
    copy_s = _limit_s(_copy_s(rates), warm_s)
    limit_s = max(copy_s, _limit_s(_seconds(rates.storage_warm), warm_s))
    model = Model(
        work_s=_work(rates, warm_s, limit_s),
        consumer_s=1 / rates.consumer,
        storage_s=_seconds(rates.storage),
        wait_s=rates.read_wait_s / rates.workers if rates.workers else 0.0,
        copy_s=copy_s,
    )
    return _with_measured_overlap(_with_measured_loader(model, rates), rates)


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
    if rates.storage is not None:
        seconds["storage"] = rates.read_cpu_s / rates.cores_used
    return seconds


def _work(rates: Rates, warm_s: float, limit_s: float) -> dict[Cause, float]:
    """Return the seconds of work per image by cause, with what no part explains of `warm_s`.

    Parts that overlap in a way that the model does not know are shortened alike. Work that is
    hidden behind a limit leaves nothing to explain.
    """
    parts_s = part_seconds(rates)
    wait_s = rates.warm_wait_s / rates.workers if rates.workers else 0.0
    explained_s = wait_s + sum(parts_s.values())
    if explained_s > warm_s:
        shorter = warm_s / explained_s
        return {cause: part_s * shorter for cause, part_s in parts_s.items()}
    if limit_s > explained_s:
        return {**parts_s, rates.remainder: 0.0}
    return {**parts_s, rates.remainder: warm_s - explained_s}


def _limit_s(seconds: float, loader_s: float) -> float:
    """Return the loader's own time where a limit explains it; 0 where it does not limit."""
    return loader_s if seconds >= _AT_THE_LIMIT * loader_s else 0.0


def _copy_s(rates: Rates) -> float:
    return _seconds(rates.copy_serial) if rates.copies_apart else 0.0


def _with_measured_loader(model: Model, rates: Rates) -> Model:
    """Scale what the storage takes until the loader is as slow as measured in its cache state."""
    loader_s = 1 / rates.loader
    waits_s = max(0.0, loader_s - sum(model.work_s.values()))
    if rates.in_line:
        return replace(model, storage_s=0.0, wait_s=waits_s)
    if isclose(model.loader_s, loader_s):
        return model
    scale = min(_ratio(loader_s, model.storage_s), _ratio(waits_s, model.wait_s))
    if scale == inf:
        scale = 0.0
    return replace(model, storage_s=model.storage_s * scale, wait_s=model.wait_s * scale)


def _with_measured_overlap(model: Model, rates: Rates) -> Model:
    """Choose how far loader and consumer overlap by the rate end to end."""
    slower_s = max(model.loader_s, model.consumer_s)
    excess_s = 1 / rates.end_to_end - slower_s
    if excess_s <= _NOISE * slower_s:
        return replace(model, slowdown=1 / rates.end_to_end / slower_s)
    return replace(model, kappa=excess_s / min(model.loader_s, model.consumer_s))


def _seconds(rate: float | None) -> float:
    return 0.0 if rate is None else 1 / rate


def _ratio(seconds: float, of_s: float) -> float:
    return seconds / of_s if of_s else inf
