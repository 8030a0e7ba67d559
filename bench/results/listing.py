"""The runs in a folder, each with what tells it from the others."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from feedbench.bench.environment import began_at, written_at
from feedbench.bench.errors import BenchError
from feedbench.bench.quantities import quantity
from feedbench.bench.report.document import TableData, words
from feedbench.bench.results import kinds
from feedbench.bench.results.find import Kind, place_of
from feedbench.loaders import LoaderError
from feedbench.trainer import TrainerError

if TYPE_CHECKING:
    from feedbench.bench.analysis.estimate import Estimate


_UNDATED = "by: the record does not say when it was made; its file is of that day."


@dataclass(frozen=True)
class Facts:
    """What was measured.

    Attributes:
        loaders: names of the loaders, or the network.
        data: images and their size, or the data of a `fit`.
        result: the winner with its rate, or what else was found.
    """

    loaders: str = ""
    data: str = ""
    result: str = ""


@dataclass(frozen=True)
class ListedRun:
    """A run in a folder.

    Attributes:
        place: its folder, or the file with its record.
        when: it was made, in local time; without `is_dated`, when its file was written.
        is_dated: whether the record says when it was made.
    """

    place: Path
    command: str
    when: datetime
    is_dated: bool
    facts: Facts

    @property
    def values(self) -> dict[str, str | None]:
        """The same as JSON-compatible values."""
        return {
            "folder": str(self.place),
            "command": self.command,
            "dated": self.when.isoformat(timespec="seconds") if self.is_dated else None,
            **vars(self.facts),
        }


def listed(runs: Sequence[tuple[Path, Kind]]) -> list[ListedRun]:
    """Return the runs, the newest last; one whose record is damaged says so.

    Those that do not say when they were made come first: they are of older versions.
    """
    found = [_listed(path, kind) for path, kind in runs]
    return sorted(found, key=lambda run: (run.is_dated, run.when, run.place))


def _listed(path: Path, kind: Kind) -> ListedRun:
    began = began_at(path)
    when = (began or written_at(path)).astimezone()
    try:
        facts = facts_of(kind.read(path))
    except (BenchError, LoaderError, TrainerError) as error:
        facts = Facts(result=f"cannot be read: {str(error).removeprefix(f'{path}: ')}")
    return ListedRun(place_of(path), kind.command, when, began is not None, facts)


def runs_table(runs: Sequence[ListedRun], folder: Path) -> TableData[ListedRun]:
    """Return one row per run.

    Args:
        folder: that holds them all, which no row repeats.
    """
    return TableData(
        name="runs",
        columns=[
            words("dated", "dated", _date),
            words("command", "command", lambda run: run.command),
            words("loaders", "loaders", lambda run: run.facts.loaders, importance=2),
            words("data", "data", lambda run: run.facts.data, importance=1),
            words("result", "result", lambda run: run.facts.result),
            words(
                f"in {_shown(folder)}",
                "folder",
                lambda run: str(run.place),
                text=lambda run: str(run.place.relative_to(folder)),
            ),
        ],
        rows=runs,
        legend=_UNDATED if any(not run.is_dated for run in runs) else "",
    )


def _shown(folder: Path) -> str:
    """Return a folder as it was named; its own name for one such as `.`."""
    return str(folder) if folder.name not in ("", "..") else folder.resolve().name or str(folder)


def _date(run: ListedRun) -> str:
    return f"{run.when:%Y-%m-%d %H:%M}" if run.is_dated else f"by {run.when:%Y-%m-%d}"


def facts_of(result: kinds.Result) -> Facts:
    """Return what a result is about."""
    return _FACTS.get(type(result), lambda _: Facts())(result)


def _bench(result: kinds.BenchResult) -> Facts:
    from feedbench.bench.report.table import trial_name

    summary = result.summary
    loaders = _names(trial.loader for trial in summary.trials)
    winner = None if summary.winner is None else summary.trials[summary.winner]
    if winner is None:
        return Facts(loaders, _images(result), "no winner")
    rate = summary.predicted or winner.images_per_second
    return Facts(loaders, _images(result), _with_rate(trial_name(winner), rate))


def _limits(result: kinds.LimitsResult) -> Facts:
    from feedbench.bench.limits.verdict import fastest

    loaders = _names(one.loader.partition(" ")[0] for one in result.limits.loaders)
    best = fastest(result.limits)
    found = "no rate" if best is None else _with_rate(best.loader, best.images_per_second)
    return Facts(loaders, _images(result), found)


def _diagnosis(result: kinds.DiagnosisResult) -> Facts:
    record, found = result.record, result.diagnosis
    data = f"{record.images:,} images, {record.spec['image_size']} px"
    if found.bottleneck is None or found.stall is None:
        return Facts(record.loader, data, "no verdict")
    return Facts(record.loader, data, f"{found.bottleneck.cause}, idle {found.stall.value:.0%}")


def _tune(result: kinds.TuneResult) -> Facts:
    record = result.record
    loaders = _names(one.choice.loader for one in record.timed)
    found = _with_rate(str(record.best), record.images_per_second) if record.best else "no winner"
    return Facts(loaders, "", found)


def _fit(result: kinds.FitResult) -> Facts:
    rate = None if result.figures is None else result.figures.images_per_second
    return Facts(result.record.model, result.record.data, _with_rate("fit", rate))


def _training(result: kinds.TrainingResult) -> Facts:
    from feedbench.bench.training.outcome import test_sentence

    values = result.values
    network = values["recipe"].get("network", "MobileNetV2")
    found = test_sentence(values) or quantity(len(values["epochs"]), "epoch")
    return Facts(values["loader"], f"{network}, {values['spec']['image_size']} px", found)


def _comparison(result: kinds.CompareResult) -> Facts:
    names = _names(run.name for run in result.comparison.runs)
    return Facts(names, "", _first_sentence(result.comparison.verdict))


def _plan(result: kinds.PlanResult) -> Facts:
    target = result.plan.target
    data = f"{target.images:,} images, {result.plan.measured.image_size} px"
    found = f"{target.count} × {target.accelerator}: {result.plan.utilization:.0%} busy"
    return Facts(result.plan.measured.loader, data, found)


def _pixels(result: kinds.PixelsResult) -> Facts:
    from feedbench.bench.pixels.table import verdict

    loaders = _names(one.loader for one in result.comparison.loaders)
    return Facts(loaders, "", verdict(result.comparison))


def _study(result: kinds.StudyResult) -> Facts:
    report = result.report
    sentence = _first_sentence(next(iter(report.text), ""))
    return Facts("", f"{report.images:,} test images", sentence)


def _images(result: kinds.BenchResult | kinds.LimitsResult) -> str:
    if not result.trials:
        return ""
    trial = result.trials[0]
    return f"{trial.images:,} images, {trial.spec['image_size']} px"


def _first_sentence(text: str) -> str:
    return text.partition(". ")[0].removesuffix(".")


def _names(names: Iterable[str]) -> str:
    return ", ".join(dict.fromkeys(names))


def _with_rate(name: str, rate: Estimate | None) -> str:
    from feedbench.bench.analysis.estimate import rate_text

    return name if rate is None else f"{name}: {rate_text(rate.value)} images/s"


_FACTS: dict[type, Callable[[Any], Facts]] = {
    kinds.BenchResult: _bench,
    kinds.LimitsResult: _limits,
    kinds.DiagnosisResult: _diagnosis,
    kinds.TuneResult: _tune,
    kinds.FitResult: _fit,
    kinds.TrainingResult: _training,
    kinds.CompareResult: _comparison,
    kinds.PixelsResult: _pixels,
    kinds.PlanResult: _plan,
    kinds.StudyResult: _study,
}
