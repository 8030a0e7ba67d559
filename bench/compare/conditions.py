"""Which conditions of two runs differ, and whether their rates still mean the same.

Rates with another consumer, other images, other batches, another network or another cache state
answer other questions: such runs are refused. On another machine they answer the same question,
but a difference says nothing of the code: it is shown, and does not count for `--fail-if-slower`.
Versions of libraries are often just what is compared: they are marked. So are the loader of a
diagnosis or a training, and a user's file that has changed. Two trainings are compared for their
accuracy too, so only other images are refused there. Where a record does not hold a condition,
that is said, and the rates do not count for `--fail-if-slower`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Literal, get_args

from feedbench.bench.compare.subject import Family, Subject
from feedbench.bench.errors import PlanError, RecordError
from feedbench.bench.results.comparison import Difference, Effect, Topic
from feedbench.loaders import alternatives

Rule = Literal["refused", "not judged", "marked"]
_MEASURED: dict[Topic, Rule] = {
    "consumer": "refused",
    "data": "refused",
    "batches": "refused",
    "recipe": "refused",
    "cache": "refused",
    "machine": "not judged",
}
_RULES: dict[Family, dict[Topic, Rule]] = {
    "trials": _MEASURED,
    "diagnose": _MEASURED,
    "train": {
        "data": "refused",
        "batches": "not judged",
        "recipe": "not judged",
        "machine": "not judged",
    },
}
ALLOWED: tuple[Topic, ...] = tuple(_MEASURED)  # what `--allow-different` takes


def parse_topics(texts: Iterable[str]) -> frozenset[Topic]:
    """Return the topics that `--allow-different` names.

    Raises:
        PlanError: there is no such topic.
    """
    topics: set[Topic] = set()
    for text in ",".join(texts).split(",") if texts else ():
        topic = next((one for one in get_args(Topic) if one == text.strip()), None)
        if topic not in ALLOWED:
            raise PlanError(f"--allow-different {text}: {alternatives(text.strip(), ALLOWED)}")
        topics.add(topic)
    return frozenset(topics)


def check_families(base: Subject, other: Subject) -> None:
    """Check that both runs measure rates of one kind.

    Raises:
        RecordError: they do not.
    """
    if base.family != other.family:
        raise RecordError(
            f"{other.path}: a record of {other.command} cannot be compared with one of "
            f"{base.command} ({base.path}); give two runs of one command"
        )


def find_differences(
    base: Subject, other: Subject, run: int, allowed: Collection[Topic]
) -> list[Difference]:
    """Return the conditions in which a run differs from the base, the most important first.

    Conditions that one of the records does not hold are not compared.

    Args:
        run: index of the other run.
        allowed: topics that may differ in runs whose rates count.

    Raises:
        RecordError: the rates of the two runs do not mean the same.
    """
    rules = _RULES[base.family]
    found: list[Difference] = []
    for topic in get_args(Topic):
        values, others = base.facts.get(topic, {}), other.facts.get(topic, {})
        differing = [name for name in values if values[name] != others.get(name, values[name])]
        rule = rules.get(topic, "marked")
        if differing and rule == "refused" and topic not in allowed:
            raise RecordError(_refusal(base, other, topic, differing))
        effect: Effect = "allowed" if topic in allowed and topic in rules else "marked"
        if rule == "not judged" and topic not in allowed:
            effect = "not judged"
        found += [
            Difference(
                run=run,
                topic=topic,
                name=name,
                base=values[name],
                other=others[name],
                effect=effect,
            )
            for name in differing
        ]
    return found


def decisive_facts(subject: Subject) -> dict[str, str]:
    """Return the conditions in which `compare` refuses any difference, by topic and name."""
    rules = _RULES[subject.family]
    return {
        f"{topic} {name}": value
        for topic, facts in subject.facts.items()
        if rules.get(topic) == "refused"
        for name, value in facts.items()
    }


def _refusal(base: Subject, other: Subject, topic: Topic, names: list[str]) -> str:
    values, others = base.facts[topic], other.facts[topic]
    changes = ", ".join(f"{name} {others[name]} instead of {values[name]}" for name in names)
    return (
        f"{other.path}: measured with other conditions than {base.path}: {changes}; such rates "
        f"are not comparable; --allow-different {topic} compares them anyway"
    )


def unknown_conditions(base: Subject, other: Subject) -> list[str]:
    """Return what one of the two records, or both, do not hold: topics, and `photographs`."""
    topics: list[str] = [
        topic
        for topic in get_args(Topic)
        if (topic in _RULES[base.family] or topic == "versions")
        and not (_is_held(base, topic) and _is_held(other, topic))
    ]
    fingerprints = [one.facts.get("data", {}).get("photographs") for one in (base, other)]
    return topics if all(fingerprints) or "data" in topics else [*topics, "photographs"]


def _is_held(subject: Subject, topic: Topic) -> bool:
    """Whether a record holds a topic; a consumer that does not train has an empty recipe."""
    return topic in subject.facts if topic == "recipe" else bool(subject.facts.get(topic))


def blocking(unknown: Iterable[str], base: Subject, allowed: Collection[Topic]) -> list[str]:
    """Return the unknown topics because of which a run does not count for `--fail-if-slower`."""
    return [one for one in unknown if one in _RULES[base.family] and one not in allowed]
