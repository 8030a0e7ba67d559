"""Writes the README.md of a folder that measure.sh fills, from what there is in it so far."""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path
from typing import Any

REHEARSAL = """**A rehearsal on the CPU, at tiny sizes and with blocks of a tenth of a second.** \
It shows that the script runs; no figure below says anything about a GPU or about a loader.
"""
TIMED_OUT = 124, 137  # exit codes of `timeout`
ASKED = 0.99, 0.03  # AU of the best loader; difference of the emulated AU from the real one


def trials(out: Path, name: str) -> dict[str, dict[str, Any]]:
    """Return the trials of a bench by loader and settings, if it came to its end."""
    path = out / name / "record" / "summary.json"
    if not path.exists():
        return {}
    found = json.loads(path.read_text())["trials"]
    return {f"{one['loader']} {_settings(one['settings'])}".strip(): one for one in found}


def _settings(settings: dict[str, Any]) -> str:
    return " ".join(f"{name}={value}" for name, value in settings.items() if name != "pack")


def _percent(estimate: dict[str, Any] | float | None) -> str:
    if estimate is None:
        return "–"
    if not isinstance(estimate, dict):
        return f"{estimate:.1%}"
    ends = "" if estimate["low"] is None else f" [{estimate['low']:.1%}, {estimate['high']:.1%}]"
    return f"{estimate['median']:.1%}{ends}"


def _row(name: str, real: dict[str, Any], emulated: dict[str, Any]) -> str:
    rate = (real.get("images_per_second") or {}).get("median")
    au, other = real.get("accelerator_utilization"), emulated.get("accelerator_utilization")
    gap = f"{other['median'] - au['median']:+.1%}" if au and other else "–"
    cells = [
        f"`{name}`",
        "–" if rate is None else f"{rate:,.0f}",
        _percent(au),
        _percent(other),
        gap,
        _percent(real.get("gpu_utilization")),
        _percent(real.get("gpu_multiprocessors")),
    ]
    return f"| {' | '.join(cells)} |"


def table(out: Path, precision: str) -> list[str]:
    """Return a Markdown table: each loader with the GPU, and with its emulation."""
    real, emulated = trials(out, f"bench-{precision}"), trials(out, f"emulated-{precision}")
    if not real:
        return ["No figures: the bench has not come to its end.", ""]
    head = ("loader", "images/s", "AU", "AU emulated", "difference", "NVML busy", "GPM in use")
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    return [*lines, *(_row(name, one, emulated.get(name, {})) for name, one in real.items()), ""]


def _text(out: Path, name: str) -> list[str]:
    path = out / f"{name}.txt"
    return ["```", path.read_text().strip(), "```", ""] if path.exists() else []


def steps(out: Path) -> list[str]:
    """Return a Markdown table of the steps that were begun, with the last line of what failed."""
    with (out / "steps.csv").open() as file:
        last = {name: (seconds, code) for name, seconds, code in csv.reader(file)}
    lines = ["| step | seconds | |", "|---|---:|---|"]
    return [
        *lines,
        *(
            f"| {name} | {took} | {_ended(out, name, code)} |"
            for name, (took, code) in last.items()
        ),
        "",
    ]


def _ended(out: Path, name: str, code: str) -> str:
    if code == "0":
        return "done"
    if code == "running":
        return "**not finished**"
    if int(code) in TIMED_OUT:
        return "**stopped: it took too long**"
    log = out / f"{name}.log"
    said = log.read_text(errors="replace").strip().splitlines() if log.exists() else []
    return f"**exit code {code}**: {said[-1] if said else 'no message'}".replace("|", "/")


def page(out: Path, device: str, *, rehearsal: bool) -> str:
    """Return the page as Markdown."""
    au, gap = ASKED
    lines = [f"# {'Rehearsal on the CPU' if rehearsal else device}", ""]
    lines += [REHEARSAL] if rehearsal else []
    lines += [
        f"Asked of it: an AU of at least {au:.0%} with the best loader, and an emulated AU within "
        f"{gap:.0%} of the real one for each loader that reads images. Written by "
        "`results/gpu/measure.sh`; `feedbench show FOLDER` prints each record again.",
        "",
    ]
    for precision in ("fp32", "mixed"):
        lines += [f"## {precision}", "", *_text(out, f"calibrate-{precision}")]
        lines += table(out, precision)
    lines += ["## Diagnosis of the winner", "", *_text(out, "diagnosis")]
    lines += ["## Three epochs with the winner", "", *_text(out, "training")]
    lines += ["## Self-test", "", *_text(out, "selftest")]
    lines += ["## Steps", "", "`NAME.txt` and `NAME.log` have what each printed.", "", *steps(out)]
    return "\n".join(lines)


if __name__ == "__main__":
    folder, name, kind = sys.argv[1:]
    (Path(folder) / "README.md").write_text(page(Path(folder), name, rehearsal=bool(kind)))
