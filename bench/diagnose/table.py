"""A diagnosis as people see it: the waterfall as a table, the stall's shares, the predictions."""

from __future__ import annotations

from rich.table import Table

from feedbench.bench.analysis.utilization import (
    describe_gpus,
    describe_host,
    gpu_mean,
    utilization_conflict,
)
from feedbench.bench.diagnose import fixed
from feedbench.bench.diagnose.autotune import Node, chosen
from feedbench.bench.diagnose.derive import Ceiling, find_part, proven
from feedbench.bench.diagnose.predict import Prediction, shares_cores
from feedbench.bench.diagnose.record import Diagnosed
from feedbench.bench.diagnose.verdict import Diagnosis, consumer_name
from feedbench.bench.report.table import or_dash


def label(one: Ceiling) -> str:
    """A part and its conditions."""
    if one.name == "fixed":
        return " ".join(f"{name}={value}" for name, value in (one.settings or {}).items())
    words: list[str] = [one.name]
    if one.cache_state is not None:
        words.append(one.cache_state)
    if one.name == "storage" and one.parallel is not None:
        words.append(f"{one.parallel} at once")
    elif one.parallel is not None:
        words.append("1 core" if one.parallel == 1 else f"{one.parallel} cores")
    return ", ".join(words)


def waterfall_table(found: Diagnosis) -> Table:
    """One row a part, in the order in which an image passes through them."""
    made = Table("part alone", title="Ceilings", title_justify="left")
    for name in ("images/s [95 %]", "MB/s", "cores", "blocks"):
        made.add_column(name, justify="right")
    for one in found.ceilings:
        rate = one.images_per_second
        made.add_row(
            label(one),
            f"{rate:,.0f}" if rate else one.error or "–",
            f"{one.bytes_per_second / 1e6:,.0f}" if one.bytes_per_second else "",
            or_dash(one.cores, ".2f"),
            f"{one.blocks}" + (f" ({len(one.unproven)} not counted)" if one.unproven else ""),
            style="bold" if one.name == "end to end" else "",
        )
    return made


def predictions_table(found: Diagnosis) -> Table:
    """Remedies by gain, then mere questions."""
    made = Table(title="What if", title_justify="left")
    made.add_column("change")
    for name in ("images/s", "AU", "gain"):
        made.add_column(name, justify="right")
    made.add_column("assumed", overflow="fold")
    for one in found.predictions:
        made.add_row(
            f"{one.change}: {one.how}{_memory(one)}",
            _rate(one),
            f"{one.accelerator_utilization:.0%}",
            f"{one.gain:+.0%}",
            one.assumes,
        )
    return made


def nodes_table(nodes: list[Node]) -> Table:
    """The pipeline as tf.data's own model has it, from the files to the batches."""
    made = Table(title="Where tf.data spends its time", title_justify="left")
    made.add_column("node")
    made.add_column("in use", overflow="fold")
    for name in ("ms of processors an image", "MB buffered"):
        made.add_column(name, justify="right")
    for node in nodes:
        marks = dict.fromkeys(node.autotuned, " (AUTOTUNE)")
        used = (f"{name} {value:g}{marks.get(name, '')}" for name, value in node.parameters.items())
        took, held = node.processing_s * 1e3, node.buffered_bytes / 1e6
        made.add_row(node.name, ", ".join(used), f"{took:.3f}", f"{held:.1f}")
    return made


def _rate(one: Prediction) -> str:
    rate = f"{one.images_per_second:,.0f}"
    if one.low is None or one.high is None or f"{one.low:,.0f}" == f"{one.high:,.0f}":
        return rate
    return f"{rate} ({one.low:,.0f}–{one.high:,.0f})"


def _memory(one: Prediction) -> str:
    if one.needs_bytes is None:
        return ""
    verb = "fits" if one.fits else "does not fit"
    return f" ({one.needs_bytes / 1e9:.2f} GB: {verb})"


def _failed(record: Diagnosed) -> list[str]:
    checks = (record.self_test or {}).get("checks", [])
    return [f"{one['name']}: {one['measured']}" for one in checks if not one["passed"]]


def _metered(record: Diagnosed, found: Diagnosis) -> list[str]:
    """What machine and GPUs did end to end, and whom to believe where they contradict."""
    whole = find_part(record, "end to end")
    if whole is None or found.stall is None:
        return []
    blocks = proven(whole).blocks
    waited = sum(sum(block.wait_s) for block in blocks) / sum(block.seconds for block in blocks)
    said = [describe_host(blocks), *describe_gpus(blocks)]
    busy, used = gpu_mean(blocks, "utilization"), gpu_mean(blocks, "multiprocessors")
    said.append(utilization_conflict(waited, found.stall.value, busy, used))
    return [f"End to end. {line}" for line in said if line]


def notes(record: Diagnosed, found: Diagnosis) -> list[str]:
    """What else is to be said, a line each."""
    lines = [
        f"{record.images:,} images, {record.encoded_bytes / 1e9:.2f} GB in files, "
        f"{record.decoded_bytes / 1e9:.2f} GB decoded; "
        f"{record.available_memory_bytes / 1e9:.1f} GB of memory to be had; {record.cores} cores."
    ]
    if found.shares:
        parts = (f"{one.cause} {one.stall:.1%}" for one in found.shares if one.stall > 0)
        lines.append(f"The stall is made of: {', '.join(parts) or 'nothing'}.")
    for need in found.cores_needed or []:
        kept = f"{need.accelerators} accelerator{'s' * (need.accelerators > 1)} of this kind"
        lines.append(f"You need {need.cores} of these cores to keep {kept} busy with this loader.")
    if found.overlap is not None and found.predictions:
        lines.append(
            f"Unless it says otherwise, a prediction is {found.overlap:.0%} of the smaller of "
            "loader and accelerator, as was measured end to end."
        )
    if shares_cores(record):
        lines.append(f"Loader and {consumer_name(record)} share the cores.")
    lines += _metered(record, found)
    if not record.on_gpu or record.consumer != "train":
        lines.append("The copy from host to device was not measured: no GPU takes the batches.")
    if record.autotuned and (settled := chosen(record.autotuned)):
        held = sum(node.buffered_bytes for node in record.autotuned) / 1e6
        lines.append(f"AUTOTUNE settled on {', '.join(settled)}; {held:.0f} MB are buffered.")
    if found.fixed is not None:
        lines.append(fixed.words(found.fixed))
    lines += [f"Self-test failed: {name}; do not trust this one." for name in _failed(record)]
    if record.apart:
        lines.append(
            "Two trainers did not fit into memory: the one alone was measured first, so that the "
            "interval of the stall does not hold what drifted in between."
        )
    if record.not_cold:
        lines.append(f"Nothing was measured cold: {record.not_cold}")
    return lines
