"""Several reports on one page: the name of each, and what differs between them."""

from __future__ import annotations

import shlex
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from feedbench.bench.compare.names import short_names
from feedbench.bench.html.parts import (
    Cell,
    Code,
    Column,
    Origin,
    Part,
    Report,
    Section,
    Table,
    Text,
)

_IN_HEADINGS, _IN_TABLE = 3, 8  # conditions that are named


@dataclass(frozen=True)
class Entry:
    """A report in its page.

    Attributes:
        anchor: the id of its element; empty if it is alone.
        prefix: what the ids of its sections begin with.
        heading: its name and its title.
        about: what tells it apart from the others, and its date.
    """

    report: Report
    anchor: str
    prefix: str
    heading: str
    about: str


def entries(reports: Sequence[Report]) -> list[Entry]:
    """Return the reports with names by which they can be told apart."""
    if len(reports) == 1:
        return [Entry(reports[0], "", "", reports[0].title, _alone(reports[0]))]
    facts = differing([one.origin for one in reports if one.origin])[:_IN_HEADINGS]
    return [
        Entry(one, f"result-{i}", f"result-{i}-", f"{name}: {one.title}", _about(one, facts))
        for i, (one, name) in enumerate(zip(reports, _names(reports), strict=True), 1)
    ]


def _names(reports: Sequence[Report]) -> list[str]:
    return short_names([_path(one) for one in reports])


def _path(report: Report) -> Path:
    return report.origin.path if report.origin else Path("result")


def _alone(report: Report) -> str:
    """Return the folder of the only report of a page, and the date if it is known."""
    origin = report.origin
    return " · ".join([origin.path.absolute().name, *_date(origin)]) if origin else ""


def _about(report: Report, facts: Sequence[str]) -> str:
    """Return what tells a report apart from the others, and the date."""
    if (origin := report.origin) is None:
        return ""
    known = [f"{_words(name)} {origin.facts[name]}" for name in facts if name in origin.facts]
    return " · ".join([*known, *_date(origin)])


def _date(origin: Origin) -> list[str]:
    """Return when the run began; nothing if that is not known."""
    return [f"{origin.began:%Y-%m-%d %H:%M} UTC"] if origin.began else []


def _words(name: str) -> str:
    return name.replace("_", " ")


def differing(origins: Sequence[Origin]) -> list[str]:
    """Return the conditions that differ between two runs of one command; unknown ones do not."""
    found: dict[str, None] = {}
    for group in _by_command(origins).values():
        names = dict.fromkeys(name for one in group for name in one.facts)
        values = {name: {one.facts.get(name) for one in group} - {None} for name in names}
        found |= {name: None for name in names if len(values[name]) > 1}
    return list(found)


def _by_command(origins: Sequence[Origin]) -> dict[str, list[Origin]]:
    groups: dict[str, list[Origin]] = defaultdict(list)
    for one in origins:
        groups[one.command].append(one)
    return groups


def overview(reports: Sequence[Report]) -> Section:
    """Return the results of a page side by side, and how to compare them."""
    origins = [one.origin for one in reports if one.origin]
    facts = differing(origins)
    parts: list[Part] = [Text(_sentence(facts)), _table(reports, facts[:_IN_TABLE])]
    for group in _comparable(origins):
        paths = [str(_shown(one.path)) for one in group]
        command = shlex.join(["feedbench", "compare", *paths])
        parts.append(Code(command, "Ratios with intervals, and what makes them unfair"))
    return Section("Results on this page", parts, "overview")


def _comparable(origins: Sequence[Origin]) -> list[list[Origin]]:
    """Return the runs that one call of `compare` takes together: those that fit the first one."""
    groups: list[list[Origin]] = []
    for one in origins:
        found = next((group for group in groups if _fits(group[0], one)), None)
        if found is None:
            groups.append([one])
        else:
            found.append(one)
    return [group for group in groups if len(group) > 1]


def _fits(base: Origin, other: Origin) -> bool:
    """Whether `compare` takes both; what one of them does not know does not differ."""
    if base.command != other.command or base.decisive is None or other.decisive is None:
        return False
    others = other.decisive
    return all(others.get(name, value) == value for name, value in base.decisive.items())


def _shown(path: Path) -> Path:
    """Return a path as it was named; where it is on this machine is of no use to a reader."""
    return Path(path.name) if path.is_absolute() else path


def _sentence(facts: Sequence[str]) -> str:
    alone = "Each result is separate: no figure on this page compares two of them."
    if not facts:
        return alone
    named = ", ".join(map(_words, facts[:_IN_TABLE]))
    more = len(facts) - _IN_TABLE
    return f"{alone} They differ in {named}{f' and {more} more' if more > 0 else ''}."


def _table(reports: Sequence[Report], facts: Sequence[str]) -> Table:
    dates = [next(iter(_date(one.origin)), None) if one.origin else None for one in reports]
    columns = [Column("result"), Column("what"), *([Column("dated")] if any(dates) else [])]
    rows: list[list[Cell]] = [
        [
            name,
            report.title,
            *([date] if any(dates) else []),
            *(report.origin.facts.get(fact) if report.origin else None for fact in facts),
        ]
        for report, name, date in zip(reports, _names(reports), dates, strict=True)
    ]
    return Table("Results", [*columns, *(Column(_words(fact)) for fact in facts)], rows)
