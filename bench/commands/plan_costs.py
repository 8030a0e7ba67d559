"""Costs of a loader for `plan`: from the record of a run, or diagnosed now."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from feedbench.bench.commands.options import readable_rows
from feedbench.bench.commands.output import console
from feedbench.bench.errors import PlanError

if TYPE_CHECKING:
    from feedbench.bench.accelerator import Accelerator
    from feedbench.bench.capacity.costs import Costs
    from feedbench.bench.commands.model_options import OptionValues
    from feedbench.bench.diagnose.record import DiagnosisRecord
    from feedbench.bench.record import Trial
    from feedbench.bench.results.kinds import BenchResult, LimitsResult
    from feedbench.loaders import Manifest


def costs_in(result: Path, loader: str | None) -> Costs:
    """Return the costs from the record of a run.

    Args:
        loader: which of several; None for the winner, or the fastest that reads files.

    Raises:
        PlanError: the record is of another kind, or does not have them.
        RecordError: there is no record, or it is not valid.
    """
    from feedbench.bench.capacity.costs import costs_of_diagnosis, costs_of_trial
    from feedbench.bench.limits.limits import read_limits
    from feedbench.bench.results.find import read_result
    from feedbench.bench.results.kinds import BenchResult, DiagnosisResult, LimitsResult

    found = read_result(result)
    if isinstance(found, DiagnosisResult):
        return costs_of_diagnosis(found.record, _bytes_per_value(found.record))
    if not isinstance(found, BenchResult | LimitsResult) or not found.trials:
        raise PlanError(f"--from {result}: must be a run of diagnose, limits or bench")
    cold = read_limits(found.path.parent).disk if isinstance(found, LimitsResult) else []
    trial = _chosen(found, loader)
    cores = _cores_of(found.path.parent, trial)
    per_value = 4 if trial.all_settings.get("output") == "float32" else 1
    return costs_of_trial(trial, cores, [] if isinstance(cold, str) else cold, per_value)


def _cores_of(folder: Path, trial: Trial) -> int:
    """Return the cores of the machine that was measured, which older records say in a file."""
    import json

    facts = trial.machine or {}
    path = folder / "environment.json"
    if not facts.get("cores") and path.exists():
        facts = json.loads(path.read_text())
    if not facts.get("cores"):
        raise PlanError(f"--from {folder}: the record does not say how many cores there were")
    return int(facts["cores"])


def _chosen(found: BenchResult | LimitsResult, loader: str | None) -> Trial:
    """Return the trial of the loader, of the winner, or of the fastest that reads files."""
    from feedbench.bench.results.kinds import BenchResult
    from feedbench.bench.trials.internal_loaders import is_choice

    if isinstance(found, BenchResult) and loader is None and found.summary.winner is not None:
        return found.trials[found.summary.winner]
    timed = [trial for trial in found.trials if trial.blocks and is_choice(trial.loader)]
    if loader is None:
        asked = [trial for trial in timed if _reads_files(trial)] or timed
    else:
        asked = [trial for trial in timed if trial.loader == loader]
    if not asked:
        names = ", ".join(dict.fromkeys(trial.loader for trial in timed)) or "none"
        raise PlanError(
            f"--from {found.path}: no rate of {loader or 'a loader'}; timed were: {names}"
        )
    return max(asked, key=lambda trial: max(trial.rates.values()))


def _reads_files(trial: Trial) -> bool:
    """Whether a loader reads the original files in every epoch."""
    from feedbench.loaders import find_loader, parse_settings

    settings = parse_settings(find_loader(trial.loader), trial.settings)
    return not settings.fills_cache and "pack" not in trial.settings


def _bytes_per_value(record: DiagnosisRecord) -> int:
    from feedbench.loaders import find_loader, parse_settings

    settings = parse_settings(find_loader(record.loader), record.settings)
    return 4 if settings.image_dtype == "float32" else 1


def measured_now(
    manifest: Manifest,
    given: OptionValues,
    loader: str | None,
    set_: list[str] | None,
    profile: Accelerator | None,
    folder: Path,
    seconds: float,
) -> tuple[Manifest, Costs]:
    """Diagnose the loader now; return the images that it can read, and what they cost."""
    from feedbench.bench.capacity.costs import costs_of_diagnosis
    from feedbench.bench.commands.overlay import chosen_loader
    from feedbench.bench.diagnose.measure import diagnose
    from feedbench.bench.diagnose.progress import diagnosis_progress
    from feedbench.bench.diagnose.setup import DiagnosisPlan, DiagnosisTiming
    from feedbench.bench.plan.accelerators import find_accelerator
    from feedbench.bench.plan.plan import Choice
    from feedbench.bench.trials.feasibility import check_feasible
    from feedbench.loaders import DEFAULT_LOADER, parse_spec
    from feedbench.trainer import Recipe

    best = chosen_loader(loader or DEFAULT_LOADER, set_, given)
    spec = parse_spec(best.spec)
    manifest, _ = readable_rows(manifest, [best.loader], console())
    check_feasible(spec, manifest)
    emulated = profile or find_accelerator("a100")  # of which only the loader alone is used
    asked = DiagnosisPlan(
        choice=Choice(loader=best.loader, settings=best.settings),
        spec=spec,
        recipe=Recipe(),
        consumer="emulated:target",
        accelerator=emulated,
    )
    inside = folder / "diagnosis"
    inside.mkdir()
    timing = DiagnosisTiming(budget_s=seconds)
    with diagnosis_progress(console(to_errors=True), timing) as report:
        record = diagnose(asked, manifest, inside, report, timing)
    return manifest, costs_of_diagnosis(record, _bytes_per_value(record))
