"""What `plan` prints: the needs of a target, what it would reach, and what that assumes."""

from __future__ import annotations

from collections.abc import Iterator
from math import ceil

from feedbench.bench.capacity.needs import CapacityPlan, Need, Unit
from feedbench.bench.report.document import Column, Line, Part, TableData, only_csv, words

_SCALES = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))
_NAMES: dict[Unit, str] = {"bytes": "B", "bytes/s": "B/s", "bits/s": "bit/s"}


def parts(plan: CapacityPlan) -> Iterator[Part]:
    """Yield what is printed."""
    yield Line(headline(plan))
    yield _needs_table(plan)
    yield Line(_shards_text(plan))
    if plan.measured.stages:
        yield Line(_stages_text(plan))
    yield from (Line(text, "dim") for text in plan.assumptions)
    if plan.measured.busy:
        yield Line(_busy_warning(plan.measured.busy), "yellow")
    yield Line(verdict(plan), "bold")


def headline(plan: CapacityPlan) -> str:
    """Return the target and what it takes, in one line."""
    target, costs = plan.target, plan.measured
    hosts = f" on {target.hosts} hosts" if target.hosts > 1 else ""
    return (
        f"{target.count} × {target.accelerator}{hosts}: {target.images_per_second:,.0f} images/s, "
        f"{target.images:,} images → {costs.image_size} px, {costs.loader}"
    )


def verdict(plan: CapacityPlan) -> str:
    """Return what becomes the limit first, and what the target would reach."""
    rate, wanted = plan.images_per_second, plan.target.images_per_second
    if plan.limit is None:
        return "Nothing is known about the target: give --cores, --memory, --storage, --network."
    ends = f" [{rate.low:,.0f}, {rate.high:,.0f}]" if rate.low < rate.high else ""
    reached = f"{rate.likely:,.0f}{ends} of {wanted:,.0f} images/s, {plan.utilization:.0%}"
    if rate.likely < wanted:
        return f"The limit is {plan.limit}: expected are {reached}."
    return f"Nothing limits the accelerators: {reached}. The first limit would be {plan.limit}."


def _busy_warning(used: str) -> str:
    return (
        f"Other programs used {used} while the loader was measured: its own rate may be too low, "
        "and the numbers of cores and service workers too high; measure on an idle machine."
    )


def _needs_table(plan: CapacityPlan) -> TableData[Need]:
    return TableData(
        name="needs",
        columns=[
            words("resource", "resource", lambda need: need.resource),
            Column("need", "likely", lambda need: need.amount.likely, _likely),
            Column("range", "low", lambda need: need.amount.low, _range, importance=2),
            only_csv("high", lambda need: need.amount.high),
            only_csv("unit", lambda need: need.unit),
            Column("there is", "has", lambda need: need.has, _has),
            Column("use", "use", lambda need: need.use, "{:.0%}"),
            words("where from", "how", lambda need: need.how, importance=1),
        ],
        rows=plan.needs,
        styles=["red" if (need.use or 0) > 1 and need.is_required else "" for need in plan.needs],
    )


def _likely(need: Need) -> str:
    return amount_text(need.amount.likely, need.unit)


def _range(need: Need) -> str:
    low, high = need.amount.low, need.amount.high
    if low == high:
        return ""
    return f"{amount_text(low, need.unit)}–{amount_text(high, need.unit)}"


def _has(need: Need) -> str:
    return "" if need.has is None else amount_text(need.has, need.unit)


def amount_text(value: float, unit: Unit) -> str:
    """Return an amount with its unit, such as `1.2 GB/s`."""
    if unit in ("workers", "reads"):
        return f"{ceil(value):,}"
    if unit == "cores":
        return f"{value:,.1f}"
    if unit == "reads/s":
        return f"{value:,.0f}/s"
    scale, prefix = next((one for one in _SCALES if value >= one[0]), (1.0, ""))
    return f"{value / scale:,.{2 if value / scale < 10 else 0}f} {prefix}{_NAMES[unit]}"


def _shards_text(plan: CapacityPlan) -> str:
    shards = plan.shards
    return (
        f"Shards: about {shards.count:,} of {amount_text(shards.bytes, 'bytes')}, "
        f"{shards.images:,} images each."
    )


def _stages_text(plan: CapacityPlan) -> str:
    costs = ", ".join(f"{name} {1e3 * cpu_s:.2f}" for name, cpu_s in plan.measured.stages.items())
    whole = plan.measured.cpu_s.likely * 1e3
    return f"Milliseconds of one core per image, as here: {costs}; the loader in total {whole:.2f}."
