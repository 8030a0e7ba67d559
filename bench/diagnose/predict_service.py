"""Predictions for a tf.data service: with more workers, and without the network."""

from __future__ import annotations

from math import ceil

from pydantic import BaseModel, ConfigDict

from feedbench.bench.analysis.estimate import Estimate
from feedbench.bench.analysis.stats import median_interval, paired_ratio
from feedbench.bench.diagnose.ceilings import find_part, with_proven_blocks
from feedbench.bench.diagnose.model import Model
from feedbench.bench.diagnose.prediction import Prediction, predict
from feedbench.bench.diagnose.record import DiagnosisRecord, Part
from feedbench.bench.diagnose.stall import NO_STALL


class WorkersNeeded(BaseModel):
    """The number of service workers that keep the consumer busy.

    Attributes:
        running: workers that were measured.
        rate: images per second that one of them makes, of which nothing is sent.
        needed: workers whose rates together are the consumer's.
        low, high: ends of the interval of that number; None if there were too few blocks.
        network: images per second that the network carried from these workers.
        carries: whether that suffices for the consumer; if not, no number of workers keeps it busy.
    """

    model_config = ConfigDict(extra="forbid")

    running: int
    rate: Estimate
    needed: int
    low: int | None = None
    high: int | None = None
    network: Estimate
    carries: bool


def workers_needed(record: DiagnosisRecord) -> WorkersNeeded | None:
    """Return the service workers that keep the consumer busy; None without a service."""
    made, sent = find_part(record, "service workers"), find_part(record, "network")
    consumer, running = find_part(record, "consumer"), record.service_workers
    if made is None or sent is None or consumer is None or not running:
        return None
    ratio = paired_ratio(with_proven_blocks(consumer).rates, with_proven_blocks(made).rates)
    carried = paired_ratio(with_proven_blocks(sent).rates, with_proven_blocks(consumer).rates)
    if ratio is None or carried is None:
        return None
    count = _scaled(ratio, running)
    return WorkersNeeded(
        running=running,
        rate=_scaled(_rate(made), 1 / running),
        needed=ceil(count.value),
        low=None if count.low is None else ceil(count.low),
        high=None if count.high is None else ceil(count.high),
        network=_rate(sent),
        carries=carried.value >= 1 - NO_STALL,
    )


def _rate(part: Part) -> Estimate:
    return median_interval(list(with_proven_blocks(part).rates.values()))


def _scaled(estimate: Estimate, factor: float) -> Estimate:
    ends = {name: None if end is None else end * factor for name, end in dict(estimate).items()}
    return Estimate.model_validate(ends)


def one_more_worker(record: DiagnosisRecord, model: Model) -> Prediction | None:
    """Predict the rate with another worker; None without a service."""
    running = record.service_workers
    if not running or "service workers" not in model.work_s:
        return None
    return predict(
        model,
        "one more service worker",
        f"{running + 1} instead of {running}",
        model.with_work({"service workers": running / (running + 1)}),
        f"it is as fast as {'this one' if running == 1 else 'each of these'}, on its own cores; "
        "storage is fast enough for it, and the network is as fast as measured",
    )


def no_network(model: Model) -> Prediction | None:
    """Predict the rate if it cost no time to send batches; None without a service."""
    if not model.network_s:
        return None
    return predict(
        model,
        "no network",
        "batches cost no time to compress, send and receive",
        model.without(["network"]),
        "workers make batches as fast as they did while they sent none: an upper bound for a "
        "faster network",
    )
