"""`bench --against`: the old choice, timed in the same rounds as the new ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from feedbench.bench.errors import PlanError

if TYPE_CHECKING:
    from rich.console import Console

    from feedbench.bench.plan.plan import Choice, Plan, Suite

OptionAgainst = Annotated[
    str | None,
    typer.Option(
        "--against",
        metavar="RESULT",
        help="Also time an old choice in the same rounds, and compare all others with it: a "
        "result folder, a best.toml, or a loader such as OLD.py:FUNCTION.",
    ),
]


@dataclass(frozen=True)
class Old:
    """The choice to compare with.

    Attributes:
        text: the value of the option.
        digest: of the user's file when RESULT was measured; None if there is none.
        spec: that RESULT was measured with; empty for a mere loader.
    """

    text: str
    choice: Choice
    digest: str | None
    spec: dict[str, Any]


def find_old(text: str) -> Old:
    """Return the choice of a result, of a best.toml, or of a loader.

    Raises:
        PlanError: a result chose nothing, or a file is not valid.
        LoaderError: no loader has that name.
        RecordError: a record is not valid.
    """
    from feedbench.bench.analysis.best import BEST, resolve_loader
    from feedbench.bench.plan.plan import Choice

    path = Path(text)
    is_record = path.is_dir() and not (path / BEST).is_file()
    if is_record or text.endswith("/") or path.suffix in (".json", ".jsonl"):
        return _from_record(text, path)
    best = resolve_loader(text)
    choice = Choice(loader=best.loader, settings=best.settings)
    return Old(text, choice, best.own, best.spec)


def _from_record(text: str, path: Path) -> Old:
    from feedbench.bench.plan.plan import Choice
    from feedbench.bench.results import kinds
    from feedbench.bench.results.find import read_result

    match read_result(path):
        case kinds.BenchResult(trials=trials, summary=summary) if summary.winner is not None:
            winner = summary.trials[summary.winner]
            trial = trials[summary.winner] if trials else None
            own = trial.own.digest if trial is not None and trial.own is not None else None
            choice = Choice(loader=winner.loader, settings=winner.settings)
            return Old(text, choice, own, trial.spec if trial is not None else {})
        case kinds.TuneResult(record=record) if record.best is not None:
            return Old(text, record.best, None, record.about.get("spec", {}))
        case kinds.DiagnosisResult(record=record):
            choice = Choice(loader=record.loader, settings=record.settings)
            digest = record.own.digest if record.own else None
            return Old(text, choice, digest, record.spec)
        case kinds.TrainingResult(values=values):
            choice = Choice(loader=values["loader"], settings=values.get("settings", {}))
            digest = (values.get("own") or {}).get("digest")
            return Old(text, choice, digest, values["spec"])
    raise PlanError(
        f"--against {text}: this result chose no loader; name one instead, such as --against "
        "tf_data or --against OLD.py:FUNCTION"
    )


def with_old(suite: Suite, old: Old) -> Suite:
    """Return the suite with the old choice among its trials."""
    from feedbench.bench.plan.settings import single

    choice = old.choice.model_copy(update={"settings": single(old.choice.settings)})
    return suite.model_copy(update={"trial": [*suite.trial, choice]})


def check_against(old: Old, plan: Plan, terminal: Console) -> None:
    """Check that there is something to compare, and print what is measured as the old code.

    Raises:
        PlanError: the plan holds no other loader.
    """
    from feedbench.bench.loader_facts import own_digest
    from feedbench.bench.trials.internal_loaders import is_choice

    present = own_digest(old.choice.loader)
    has_changed = old.digest is not None and present != old.digest
    others = [one for one in plan.choices if is_choice(one.loader) and str(one) != str(old.choice)]
    if not others:
        raise PlanError(_nothing_to_compare(old, has_changed=has_changed))
    if has_changed:
        terminal.print(f"{_changed(old)}; the current file is measured.", style="yellow")
    elif present is not None:
        terminal.print(f"Against {old.choice}, file {present[:12]}", soft_wrap=True)
    if changes := _changed_spec(old, plan):
        terminal.print(f"Measured now with {', '.join(changes)}.", soft_wrap=True)


def _nothing_to_compare(old: Old, *, has_changed: bool) -> str:
    if has_changed:
        return (
            f"--against {old.text}: {_changed(old)}, and its old code is not in the record; save "
            "it as another file and give --against OLD.py:FUNCTION"
        )
    return (
        f"--against {old.text}: it chose {old.choice}, and nothing else is measured; add "
        "--loader, or compare the two runs with feedbench compare"
    )


def _changed(old: Old) -> str:
    return f"{old.choice.loader} has changed since {old.text} was measured"


def _changed_spec(old: Old, plan: Plan) -> Sequence[str]:
    """Return the fields of the batch spec that differ from those of the result, if it has any."""
    from feedbench.bench.compare.subject import spec_facts

    if not old.spec:
        return []
    then, now = spec_facts(old.spec), spec_facts(plan.spec.model_dump(mode="json"))
    return [
        f"{name} {now[name]} (then {value})"
        for name, value in then.items()
        if now.get(name, value) != value
    ]
