"""Where a report comes from: its record, the date and the conditions of its run."""

from __future__ import annotations

from pathlib import Path

from feedbench.bench.compare.conditions import decisive_facts
from feedbench.bench.compare.subject import Subject
from feedbench.bench.compare.subjects import subject_of
from feedbench.bench.environment import began_at
from feedbench.bench.html.parts import Origin
from feedbench.bench.results.comparison import Topic
from feedbench.bench.results.kinds import Result, TrainingResult

# Of the conditions that two records may differ in, those that tell their reports apart, the most
# telling first. Versions are left out: there are many, and the page has them.
_TOPICS: tuple[Topic, ...] = (
    "loader",
    "cache",
    "consumer",
    "data",
    "batches",
    "recipe",
    "machine",
    "code",
)


def origin_of(path: Path, command: str, file: Path, result: Result | None = None) -> Origin:
    """Return where a report comes from.

    Args:
        path: as it was named.
        command: that wrote the record.
        file: of the record.
        result: whose conditions are to be told; None: they do not matter.
    """
    subject = None if result is None else _comparable(result)
    if subject is None:
        return Origin(path, command, began_at(file), {})
    return Origin(path, command, began_at(file), _facts(subject), decisive_facts(subject))


def _comparable(result: Result) -> Subject | None:
    """Return what `compare` can take of a result, if it can take any."""
    if isinstance(result, TrainingResult) and not result.values["epochs"]:
        return None  # it has no rate that could be compared
    return subject_of(result)


def _facts(subject: Subject) -> dict[str, str]:
    topics = (subject.facts.get(topic, {}) for topic in _TOPICS)
    facts = {name: text for facts in topics for name, text in facts.items()}
    if facts.get("images") == "0":  # of a fit, whose images nobody has listed
        del facts["images"]
    if subject.family != "trials":
        return facts
    loaders = ", ".join(name for name, rate in subject.rates.items() if rate.reads_images)
    return {**facts, "loaders": loaders}
