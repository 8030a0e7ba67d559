"""What a target needs so that its accelerators never wait, and what becomes the limit first."""

from __future__ import annotations

from math import ceil
from typing import Literal

from pydantic import BaseModel, ConfigDict

from feedbench.bench.capacity.costs import Costs, Span
from feedbench.bench.capacity.target import Target
from feedbench.bench.quantities import quantity

Unit = Literal["cores", "workers", "bytes", "bytes/s", "reads/s", "reads", "bits/s"]
_READ_AHEAD = 128 * 1024  # bytes that Linux requests at once of a file that is read in order
_STREAMED = 1 << 20  # bytes of a read of a shard in order
_SMALLEST_SHARD, _LARGEST_SHARD = 64e6, 1e9
_ALIKE = 1.25  # times as large; files of other sizes are likely to be of other images
_SHARDS_PER_READER = 8  # so that shards in random order mix images, and readers end together


class Need(BaseModel):
    """One resource.

    Attributes:
        amount: what is needed of it, over all hosts.
        has: what there is of it; None if unknown.
        is_required: False for what is only needed in one way of several, such as a cache that the
            loader does not have.
        how: where the figure comes from.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    resource: str
    unit: Unit
    amount: Span
    has: float | None = None
    is_required: bool = True
    how: str

    @property
    def use(self) -> float | None:
        """The need as a fraction of what there is; None if that is unknown."""
        return self.amount.likely / self.has if self.has else None


class Shards(BaseModel):
    """A good size of shards: large enough to be read in order, enough of them to be shuffled."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    count: int
    images: int
    bytes: float


class CapacityPlan(BaseModel):
    """A target, what it needs, and what it would reach.

    Attributes:
        limit: the required resource of which most is used; None if nothing is known of any.
        images_per_second: expected of the target with what it has.
        stages: CPU seconds per image of each part of the loader, on one core.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    target: Target
    measured: Costs
    needs: list[Need]
    shards: Shards
    limit: str | None
    images_per_second: Span
    assumptions: list[str]

    @property
    def utilization(self) -> float:
        """Expected rate ÷ rate of accelerators that never wait."""
        return self.images_per_second.likely / self.target.images_per_second


def plan_for(target: Target, costs: Costs, assumptions: list[str]) -> CapacityPlan:
    """Return what a target needs.

    Args:
        assumptions: on the rate of the accelerators.
    """
    needs = [
        *_processor(target, costs),
        *_workers(target, costs),
        *_storage(target, costs),
        *_network(target, costs),
    ]
    memory = _memory(target, costs)
    known = [need for need in (*needs, *memory) if need.is_required and need.use is not None]
    first = max(known, key=lambda need: need.use or 0.0, default=None)
    return CapacityPlan(
        target=target,
        measured=costs,
        needs=[*needs, *memory],
        shards=_shards(target, costs),
        limit=first.resource if first else None,
        images_per_second=_expected(target, known),
        assumptions=[*assumptions, *_assumptions(target, costs), *costs.notes],
    )


def _expected(target: Target, known: list[Need]) -> Span:
    """Return the rate; 0 if a cache does not fit into memory, which the loader then refuses."""
    wanted = target.images_per_second
    if any(need.unit == "bytes" and (need.use or 0.0) > 1 for need in known):
        return Span.exactly(0.0)

    def reached(end: Literal["likely", "low", "high"]) -> float:
        needed = ((need, float(getattr(need.amount, end))) for need in known)
        of_rate = [(need, amount) for need, amount in needed if need.unit != "bytes" and amount]
        return wanted * min([1.0, *(need.has / amount for need, amount in of_rate if need.has)])

    return Span(likely=reached("likely"), low=reached("high"), high=reached("low"))


def _processor(target: Target, costs: Costs) -> list[Need]:
    rate = target.images_per_second
    cpu_s = Span(
        likely=costs.cpu_s.likely / costs.efficiency,
        low=costs.cpu_s.low,
        high=costs.cpu_s.high / costs.efficiency,
    ).times(1 / target.core_speed)
    workers = Span(
        likely=ceil(rate / costs.rate.likely),
        low=ceil(rate / costs.rate.high),
        high=ceil(rate / costs.rate.low),
    )
    return [
        Need(
            resource="cores that load",
            unit="cores",
            amount=cpu_s.times(rate),
            has=target.cores * target.full_hosts if target.cores else None,
            how=f"{cpu_s.likely * 1e3:.2f} ms of a core per image",
        ),
        Need(
            resource="service workers",
            unit="workers",
            amount=workers,
            is_required=False,
            how=f"instead of these cores; each like this machine, {quantity(costs.cores, 'core')}",
        ),
    ]


def _workers(target: Target, costs: Costs) -> list[Need]:
    """The threads or processes of a loader that has no more of them on more cores."""
    if not costs.most_workers:
        return []
    working = min(costs.most_workers, costs.cores) / target.core_speed
    wanted = target.images_per_second * working
    return [
        Need(
            resource="workers of the loader",
            unit="workers",
            amount=Span(
                likely=wanted / costs.rate.likely,
                low=wanted / costs.rate.high,
                high=wanted / costs.rate.low,
            ),
            has=costs.most_workers * target.count,
            how=f"by its settings {costs.most_workers} per loader, one loader per accelerator",
        )
    ]


def _storage(target: Target, costs: Costs) -> list[Need]:
    rate, size = target.images_per_second, target.bytes_per_image
    once = _why_read_once(target, costs)
    measured = costs.cold_rate * (costs.file_bytes or size) if costs.cold_rate else None
    when = f"first epoch only: {once}" if once else "every epoch"
    reads = Span(
        likely=rate, low=rate * size / _STREAMED, high=rate * max(1, ceil(size / _READ_AHEAD))
    )
    needs = [
        Need(
            resource="storage bandwidth",
            unit="bytes/s",
            amount=Span.exactly(rate * size),
            has=target.storage_bytes_per_s or measured,
            is_required=not once,
            how=f"{size / 1e3:,.0f} kB per image, {when}",
        ),
        Need(
            resource="storage reads",
            unit="reads/s",
            amount=Span(likely=reads.likely, low=min(reads.low, rate), high=reads.high),
            has=costs.cold_rate if target.storage_bytes_per_s is None else None,
            is_required=not once,
            how="one per file; fewer in shards that are read in order",
        ),
    ]
    if costs.read_wait_s:
        in_flight = Need(
            resource="reads in flight",
            unit="reads",
            amount=Span.exactly(rate * costs.read_wait_s),
            is_required=False,
            how=f"each waits {costs.read_wait_s * 1e3:.2f} ms, as here",
        )
        needs.append(in_flight)
    return needs


def _why_read_once(target: Target, costs: Costs) -> str:
    """Return why only the first epoch reads the files; empty if every epoch does."""
    if costs.kept:
        return f"the loader keeps the {costs.kept} in memory"
    fit = target.images * target.bytes_per_image < (target.memory_bytes or 0) / 2
    return "the files fit into half of the memory" if fit else ""


def _network(target: Target, costs: Costs) -> list[Need]:
    rate, once = target.images_per_second, _why_read_once(target, costs)
    has = target.network_bits_per_s * target.full_hosts if target.network_bits_per_s else None
    pixels = 3 * costs.image_size**2 * costs.bytes_per_value
    return [
        Need(
            resource="network, remote files",
            unit="bits/s",
            amount=Span.exactly(rate * target.bytes_per_image * 8),
            has=has,
            is_required=has is not None and not once,
            how="if the files are not on local disks" + (", first epoch only" if once else ""),
        ),
        Need(
            resource="network, service",
            unit="bits/s",
            amount=Span.exactly(rate * pixels * 8),
            has=has,
            is_required=False,
            how="batches of service workers, not compressed",
        ),
    ]


def _memory(target: Target, costs: Costs) -> list[Need]:
    """The caches; that of the loader is required, once for each accelerator of a host."""
    decoded = target.images * 3 * costs.image_size**2
    sizes = {
        "memory, cached files": (target.images * target.bytes_per_image, "per host"),
        "memory, cached pixels": (decoded, "per host, uint8; also the size of a pack of arrays"),
        "memory, float32 pixels": (4 * decoded, "per host"),
    }
    loaders = target.most_per_host
    kept = f"memory, cached {costs.kept}"
    if kept in sizes:
        each = "" if loaders == 1 else f", by each of {loaders} loaders"
        sizes[kept] = (loaders * sizes[kept][0], f"per host: kept by {costs.loader}{each}")
    return [
        Need(
            resource=name,
            unit="bytes",
            amount=Span.exactly(size),
            has=target.memory_bytes,
            is_required=name == kept,
            how=how,
        )
        for name, (size, how) in sizes.items()
    ]


def _shards(target: Target, costs: Costs) -> Shards:
    total = target.images * target.bytes_per_image
    readers = max(target.count, target.hosts, ceil(target.images_per_second / costs.rate.likely))
    size = min(_LARGEST_SHARD, max(_SMALLEST_SHARD, total / (_SHARDS_PER_READER * readers)))
    count = max(1, ceil(total / size))
    return Shards(count=count, images=ceil(target.images / count), bytes=total / count)


def _assumptions(target: Target, costs: Costs) -> list[str]:
    texts = [
        f"Assumed: {costs.loader} costs as much per image there as here"
        + (f", on cores {target.core_speed:g} times as fast" if target.core_speed != 1 else "")
        + "; loading overlaps the steps; the trainers themselves, which take about a core per "
        "accelerator, are not counted.",
        f"Ranges: cores from the lowest to the highest block{_loss_text(costs)}; reads from "
        "shards that are read in order to files in pieces of 128 KiB. A figure without a range is "
        "arithmetic.",
    ]
    if target.hosts > 1:
        texts.append(
            f"Assumed: {target.hosts} hosts share the images evenly; gradients use another network."
        )
    if costs.file_bytes and not 1 / _ALIKE < target.bytes_per_image / costs.file_bytes < _ALIKE:
        texts.append(
            f"The files that were measured have {costs.file_bytes / 1e3:,.0f} kB on average, those "
            f"of the target {target.bytes_per_image / 1e3:,.0f} kB: an image may cost more or less "
            "to decode."
        )
    if target.count % target.hosts:
        texts.append(
            f"Of {target.hosts} hosts, the one with most accelerators has {target.most_per_host}; "
            "cores and network of the others count only as far as they have as many."
        )
    return texts


def _loss_text(costs: Costs) -> str:
    """Return what is counted of the cores that the loader left idle, as it was measured."""
    used = f"{costs.cores_used:.1f} of {quantity(costs.cores, 'core')} in use"
    if costs.fills_cores:
        return f", plus the loss of the loader when it fills the cores ({used})"
    return f" (with {used}: too few to know the loss of the loader when it fills all of them)"
