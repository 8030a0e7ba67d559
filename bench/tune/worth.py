"""The picture of a search: what each setting is worth."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from feedbench.bench.analysis.estimate import rate_text
from feedbench.bench.figures.figure import saved_figure
from feedbench.bench.figures.heading import Heading, text_width, wrapped
from feedbench.bench.figures.style import (
    BLUE,
    INK,
    MUTED,
    SMALL_SIZE,
    VERMILLION,
    plain_log_scale,
)
from feedbench.bench.tune.race import Finding
from feedbench.bench.tune.record import TuneRecord
from feedbench.bench.tune.space import TOGETHER

WORTH = "worth.png"
_WIDTH, _LINE, _AXES = 10.0, 0.165, 0.7  # inches
_NAME_INCHES, _AXES_INCHES = 3.0, 6.4  # widest name, and what is left for the axes
_GAP_INCHES = 0.12  # between a dot and its text
# Shape and colour say the same; "cannot tell" and all others are hollow.
_MARKERS = {"faster": (">", BLUE), "slower": ("<", VERMILLION), "tie": ("o", MUTED)}
_OTHER = ("X", MUTED)
_READING = (
    "Ratio of images per second to the configuration named in grey, from paired blocks, with 95 % "
    "intervals. To the right of 1 ×: faster."
)


def draw_worth(record: TuneRecord, path: Path) -> None:
    """Draw the rate ratio of each comparison with its interval, and its result in words.

    Raises:
        RecordError: the file cannot be written.
    """
    findings = record.findings
    names = [_name_lines(finding) for finding in findings]
    height = _LINE * sum(len(lines) + 1 for lines in names) + _AXES
    heading = Heading(_title(record), _subtitle(record), _READING)
    with saved_figure(path, _WIDTH, height, heading) as figure:
        axes = figure.add_subplot()
        axes.set_xlim(*_limits(findings))
        plain_log_scale(axes, "x", " ×")
        axes.axvline(1, color=INK, linewidth=1, zorder=1)
        y = 0.0
        ticks = []
        for finding, lines in zip(findings, names, strict=True):
            center = y + (len(lines) - 1) / 2
            _draw_finding(axes, center, finding)
            _write_name(axes, y, lines)
            ticks.append(center)
            y += len(lines) + 1
        axes.set_yticks(ticks, [""] * len(ticks))
        axes.tick_params(axis="y", left=False)
        axes.set_ylim(y - 0.5, -1)
        axes.grid(axis="both")
        axes.set_xlabel("images per second, relative to what it was compared with; logarithmic")


def _name_lines(finding: Finding) -> list[tuple[str, str]]:
    """Return the lines of a row's name with their colours: what was tried, and against what."""
    tried = wrapped(_changed(finding), SMALL_SIZE, _NAME_INCHES)
    against = wrapped(f"against {finding.against}", SMALL_SIZE, _NAME_INCHES)
    return [*((line, INK) for line in tried), *((line, MUTED) for line in against)]


def _changed(finding: Finding) -> str:
    """Return the loader with the setting that differs, or with all if it is several."""
    choice, name = finding.choice, finding.setting
    if name is None or name == TOGETHER:
        return str(choice)
    return f"{choice.loader} {name}={choice.settings.get(name, 'default')}"


def _write_name(axes: Any, y: float, lines: list[tuple[str, str]]) -> None:
    for number, (line, color) in enumerate(lines):
        place = {"xytext": (-6, 0), "textcoords": "offset points", "annotation_clip": False}
        style = {"va": "center", "ha": "right", "fontsize": SMALL_SIZE, "color": color}
        at = axes.get_yaxis_transform()
        axes.annotate(line, (0, y + number), xycoords=at, **place, **style)


def _draw_finding(axes: Any, y: float, finding: Finding) -> None:
    marker, color = _MARKERS.get(finding.outcome, _OTHER)
    ratio = finding.ratio
    low, high = (ratio.interval or (ratio.value, ratio.value)) if ratio else (1.0, 1.0)
    if ratio is not None:
        face = color if finding.outcome in _MARKERS else "white"
        axes.plot([low, high], [y, y], color=color, linewidth=2)
        axes.plot([ratio.value], [y], marker, color=color, markerfacecolor=face, markersize=7)
    text = _text(finding)
    before = _is_before(axes, low, high, text)
    shift = _GAP_INCHES * 72
    place = {"xytext": (-shift if before else shift, 0), "textcoords": "offset points"}
    align = {"ha": "right" if before else "left", "va": "center", "fontsize": SMALL_SIZE}
    over = {"bbox": {"facecolor": "white", "edgecolor": "none", "pad": 1}, "zorder": 3}
    axes.annotate(text, (low if before else high, y), color=INK, **place, **align, **over)


def _text(finding: Finding) -> str:
    """Return ratio and result in words, in one line."""
    ratio = f"{finding.ratio.value:.2f} × " if finding.ratio else ""
    reason = wrapped(f": {finding.reason}" if finding.reason else "", SMALL_SIZE, 3.0)
    more = " …" if len(reason) > 1 else ""
    return f"{ratio}{finding.outcome}{reason[0]}{more}"


def _is_before(axes: Any, low: float, high: float, text: str) -> bool:
    """Whether a text is written to the left: where it does not cross the line at 1 and fits."""
    ends = [axes.transScale.transform((value, 1))[0] for value in (low, high)]
    left, right = (axes.transLimits.transform((end, 1))[0] * _AXES_INCHES for end in ends)
    needed = text_width(text, SMALL_SIZE) + 2 * _GAP_INCHES
    return bool(left >= needed and (high < 1 or _AXES_INCHES - right < needed))


def _limits(findings: list[Finding]) -> tuple[float, float]:
    """Return the ends of the axis, with room for texts on both sides."""
    ends = [1.0]
    for ratio in (finding.ratio for finding in findings):
        if ratio is not None:
            ends += [end for end in (ratio.value, *(ratio.interval or ())) if end > 0]
    low, high = min(ends), max(ends)
    room = max(1.6, (high / low) ** 0.2)
    return low / room, high * room


def _title(record: TuneRecord) -> str:
    if record.best is None:
        return "No configuration can be recommended yet"
    rate = record.images_per_second
    known = f": {rate_text(rate.value)} images/s" if rate else ""
    so_far = "" if record.finished else " so far"
    return f"{record.best} is the fastest{so_far}{known}"


def _subtitle(record: TuneRecord) -> str:
    """Return batches, consumer, machine, and how long the search took."""
    about, facts = record.about, []
    if spec := about.get("spec"):
        facts.append(f"{spec['image_size']} px, batch {spec['batch_size']}")
    if consumer := _consumer(about):
        facts.append(consumer)
    machine = (record.conditions.machine if record.conditions else None) or {}
    if machine:
        facts.append(
            f"{machine.get('processor', 'processor unknown')}, {machine.get('cores')} cores"
        )
    count = len(record.findings)
    facts.append(f"comparisons: {count}, in {record.seconds / 60:.1f} min")
    return " · ".join(facts)


def _consumer(about: dict[str, Any]) -> str:
    name, accelerator = str(about.get("consumer", "")), about.get("accelerator")
    if accelerator:
        return f"an emulated {accelerator['device']}"
    return str({"drain": "batches go nowhere (drain)", "train": "the trainer"}.get(name, name))
