"""The table of a bench, as people see it."""

from __future__ import annotations

from typing import Any

from rich.table import Table
from rich.text import Text

from feedbench.bench.analysis.estimate import Estimate
from feedbench.bench.analysis.summary import Summary, TrialSummary
from feedbench.bench.analysis.utilization import describe_throttling, utilization_conflict
from feedbench.bench.plan.accelerators import Accelerator
from feedbench.bench.plan.plan import Choice
from feedbench.bench.record import Trial
from feedbench.loaders import BatchSpec
from feedbench.trainer import Recipe

NOISY = 0.10  # spread of a trial's blocks over their median beyond which it is marked


def table(summary: Summary) -> Table:
    """One row a trial, fastest first; a mere ceiling is dim, the winner bold."""
    made = Table(caption=_caption(summary), caption_justify="left")
    made.add_column("loader and settings", overflow="fold", min_width=24)
    gpu = _gpu_columns(summary)
    columns = [
        "images/s [95 %]",
        "ratio to best [95 %]",
        "AU",
        "wait",
        "first batch",
        "GPU",
        *gpu,
        "CPU cores",
        "memory",
        "disk read",
    ]
    for name in columns:
        made.add_column(name, justify="right")
    for index in sorted(range(len(summary.trials)), key=lambda i: -_value(summary.trials[i])):
        trial = summary.trials[index]
        style = "bold" if index == summary.winner else "dim" if not _ranked(trial) else ""
        made.add_row(*_row(trial, index == summary.winner, gpu), style=style)
    return made


def _gpu_columns(summary: Summary) -> list[str]:
    """Those that some trial has; GPU's own is always there, to say that there is none."""
    fields = {
        "SMs": "gpu_multiprocessors",
        "GPU power": "gpu_power_w",
        "GPU memory": "gpu_memory_bytes",
    }
    return [
        name
        for name, field in fields.items()
        if any(getattr(trial, field) is not None for trial in summary.trials)
    ]


def _row(trial: TrialSummary, wins: bool, gpu: list[str]) -> list[Text]:
    name = Text(_name(trial))
    if wins:
        name.append("  ← take this")
    elif trial.tied_with_best:
        name.append("  (tie)")
    if trial.other_pixels is not None:
        rank = "" if trial.ranked else ", not ranked"
        name.append(f"  (other pixels: {trial.other_pixels:.1f} levels{rank})", style="yellow")
    if trial.dropped:
        name.append(f"  ({trial.dropped} images failed and were dropped)", style="red")
    if trial.unproven:
        name.append(f"\n{len(trial.unproven)} blocks not counted: {trial.unproven[0]}", style="red")
    if trial.error:
        name.append(f"\n{trial.error}", style="red")
    cells = [
        _rate(trial),
        or_dash(trial.ratio_to_best, ".2f"),
        or_dash(trial.accelerator_utilization, ".0%"),
        or_dash(trial.wait_share, ".0%"),
        or_dash(trial.first_batch_s, ".2f", " s"),
        or_dash(trial.gpu_utilization, ".0%"),
    ]
    gpu_cells = {
        "SMs": or_dash(trial.gpu_multiprocessors, ".0%"),
        "GPU power": or_dash(trial.gpu_power_w, ".0f", " W"),
        "GPU memory": bytes_text(trial.gpu_memory_bytes),
    }
    cells += [
        *(gpu_cells[name] for name in gpu),
        or_dash(trial.cpu_cores, ".2f"),
        bytes_text(trial.peak_memory_bytes),
        bytes_text(trial.disk_read_bytes),
    ]
    return [name, *map(Text, cells)]


def _name(trial: TrialSummary) -> str:
    return str(Choice(loader=trial.loader, settings=trial.settings, augment=trial.augment))


def _ranked(trial: TrialSummary) -> bool:
    return trial.ranked and not trial.error


def _value(trial: TrialSummary) -> float:
    return trial.images_per_second.value if trial.images_per_second else -1.0


def _rate(trial: TrialSummary) -> str:
    mark = "~" if (trial.spread or 0) > NOISY else ""
    return mark + or_dash(trial.images_per_second, ",.0f")


def or_dash(value: Estimate | float | None, spec: str, unit: str = "") -> str:
    """A figure for a table; a dash where it was not measured."""
    return "–" if value is None else f"{value:{spec}}{unit}"


def bytes_text(value: int | None) -> str:
    """Megabytes or gigabytes."""
    if value is None:
        return "–"
    return f"{value / 1e9:.2f} GB" if value >= 1e9 else f"{value / 1e6:.0f} MB"


def _caption(summary: Summary) -> str:
    notes = [
        "AU: rate over that with synthetic batches. wait: time without a batch. "
        "A ratio whose interval holds 1 is a tie."
    ]
    if all(trial.gpu_utilization is None for trial in summary.trials):
        notes.append("GPU: no NVIDIA GPU was seen.")
    if any(trial.gpu_multiprocessors is not None for trial in summary.trials):
        notes.append("GPU: time with a kernel running (NVML). SMs: multiprocessors in use (GPM).")
    notes += [f"{_name(trial)}: {said}" for trial in summary.trials if (said := _clash(trial))]
    notes += [
        f"{_name(trial)}: {describe_throttling(trial.gpu_throttled)}."
        for trial in summary.trials
        if trial.gpu_throttled
    ]
    if any((trial.spread or 0) > NOISY for trial in summary.trials):
        notes.append(f"~: the blocks spread over more than {NOISY:.0%} of their median.")
    if any(trial.other_pixels is not None for trial in summary.trials):
        notes.append(
            "other pixels: in its worst image it differs by so many levels of 0 to 255 from the "
            "first loader; see feedbench pixels."
        )
    left_out = max((trial.left_out for trial in summary.trials), default=0)
    if left_out:
        notes.append(f"{left_out:,} images that not all of these loaders can read were left out.")
    return "\n".join(notes)


def _clash(trial: TrialSummary) -> str | None:
    if trial.wait_share is None:
        return None
    kept = trial.accelerator_utilization
    return utilization_conflict(
        trial.wait_share,
        None if kept is None else 1 - kept,
        trial.gpu_utilization,
        trial.gpu_multiprocessors,
    )


def headline(trials: list[Trial]) -> str:
    """What was fed to what, in one line."""
    if not trials:
        return "nothing measured"
    trial = trials[0]
    spec: dict[str, Any] = trial.spec
    return (
        f"{trial.images:,} images → {spec['image_size']} px, {spec['resize']}, "
        f"{spec['interpolation']}, batch {spec['batch_size']} → {consumer_text(trial)}"
    )


def consumer_text(trial: Trial) -> str:
    """What took the batches, with all that is assumed of it."""
    if trial.accelerator is None:
        if trial.consumer == "drain":
            return "nothing (drain)"
        recipe = {"network": "MobileNetV2", **trial.recipe}  # older records knew no other
        return "the {network} trainer, alpha {alpha}".format(**recipe)
    known = Accelerator.model_validate(trial.accelerator)
    spec = BatchSpec.model_validate(trial.spec)
    assumed = known.assumptions(spec, Recipe.model_validate(trial.recipe))
    return "; ".join([_emulated(known), *assumed])


def _emulated(known: Accelerator) -> str:
    return (
        f"an emulated {known.device} ({known.images_per_second:,.0f} images/s, batch "
        f"{known.batch_size}, {known.image_size} px, precision {known.precision}; {known.source})"
    )


def verdict(summary: Summary) -> str:
    """What to take, in one sentence."""
    if summary.winner is None:
        return "No loader could be measured; the table says why."
    best = summary.trials[summary.winner]
    name = Choice(loader=best.loader, settings=best.settings)
    others = sum(trial.tied_with_best for trial in summary.trials) - 1
    tie = (
        f", tied with {others} other{'s' * (others > 1)}; of those known to be within 5 % of the "
        "fastest it uses the least memory and processor"
        if others
        else ", the fastest"
    )
    busy = ""
    if best.accelerator_utilization is not None:
        busy = f"; it keeps the trainer {min(1.0, best.accelerator_utilization):.0%} busy"
    assert best.images_per_second is not None
    return f"Take {name}: {best.images_per_second.value:,.0f} images/s{tie}{busy}."
