"""The machine and the versions of a run."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from feedbench.bench.described import is_environment
from feedbench.bench.files import CREATED
from feedbench.bench.html.parts import Column, Part, Section, Table, Text
from feedbench.bench.record import Conditions

ENVIRONMENT = "environment.json"


def environment_section(folder: Path, conditions: Conditions | None = None) -> Section:
    """Return what is known of the machine, from the record or from the file beside it.

    Args:
        folder: of the record.
        conditions: that the record itself holds.
    """
    facts = read_environment(folder) or _facts(conditions)
    return facts_section(facts)


def facts_section(facts: dict[str, Any]) -> Section:
    """Return the section of an environment that is known."""
    if not facts:
        unknown = Text("The record does not say on which machine it was measured.", "note")
        return Section("Environment", [unknown], "environment")
    packages = facts.get("packages") or {}
    columns = [Column("what"), Column("value")]
    machine = [[_words(name), _text(name, facts[name])] for name in facts if name != "packages"]
    parts: list[Part] = [Table("Machine", columns, machine)]
    if packages:
        versions = (f"{name} {version or '(not installed)'}" for name, version in packages.items())
        parts.append(Text(f"Versions: {', '.join(versions)}."))
    return Section("Environment", parts, "environment")


def read_environment(folder: Path) -> dict[str, Any]:
    """Return the environment.json of a folder; empty without one."""
    try:
        facts = json.loads((folder / ENVIRONMENT).read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return facts if is_environment(facts) else {}


def _facts(conditions: Conditions | None) -> dict[str, Any]:
    if conditions is None or not (conditions.machine or conditions.versions):
        return {}
    return {**(conditions.machine or {}), "packages": conditions.versions or {}}


def _words(name: str) -> str:
    return name.removesuffix("_bytes").replace("_", " ")


def _text(name: str, value: Any) -> str:
    if name == CREATED and isinstance(value, str):
        return _date(value)
    if name.endswith("_bytes") and isinstance(value, int | float):
        return f"{value / 1e9:.1f} GB"
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    return str(value)


def _date(text: str) -> str:
    """Return a date as the headings write it, or as it is if it is none."""
    try:
        return f"{datetime.fromisoformat(text).astimezone(UTC):%Y-%m-%d %H:%M} UTC"
    except ValueError:
        return text
