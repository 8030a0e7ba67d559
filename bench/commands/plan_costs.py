"""Costs of a loader for `plan`: from the record of a run, or diagnosed now."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from feedbench.bench.commands.option_values import parse_set
from feedbench.bench.commands.options import readable_rows
from feedbench.bench.commands.output import console
from feedbench.bench.errors import PlanError

if TYPE_CHECKING:
    from feedbench.bench.accelerator import Accelerator
    from feedbench.bench.capacity.costs import Costs
    from feedbench.bench.commands.model_options import OptionValues
    from feedbench.bench.diagnose.record import DiagnosisRecord
    from feedbench.bench.diagnose.setup import DiagnosisPlan
    from feedbench.bench.plan.plan import Choice
    from feedbench.bench.record import Trial
    from feedbench.bench.results.kinds import BenchResult, LimitsResult
    from feedbench.loaders import Manifest


def costs_in(result: Path, loader: str | None, sets: list[str] | None, manifest: Manifest) -> Costs:
    """Return the costs from the record of a run.

    Args:
        loader: which of several; None for the winner, or the fastest that reads files and decodes
            them in full.
        sets: the values of `--set`, which tell those of one loader apart.
        manifest: the images of the target.

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
        if sets or loader not in (None, found.record.loader):
            raise PlanError(
                f"--from {result}: a diagnosis of {found.record.loader} with one choice of "
                "settings; leave out --loader and --set"
            )
        costs = costs_of_diagnosis(found.record, _bytes_per_value(found.record))
        costs = _of_same_storage(costs, found.path.parent, manifest)
        return _with_machine(costs, _facts_of(found.path.parent, found.record.machine))
    if not isinstance(found, BenchResult | LimitsResult) or not found.trials:
        raise PlanError(f"--from {result}: must be a run of diagnose, limits or bench")
    cold = read_limits(found.path.parent).disk if isinstance(found, LimitsResult) else []
    trial = _chosen(found, loader, sets)
    facts = _facts_of(found.path.parent, trial.machine)
    cores = _cores_of(found.path.parent, facts)
    per_value = 4 if trial.all_settings.get("output") == "float32" else 1
    reads = [] if isinstance(cold, str) else cold
    costs = costs_of_trial(trial, cores, reads, per_value, _most_workers(trial, manifest))
    return _with_machine(_of_same_storage(costs, found.path.parent, manifest), facts)


def _of_same_storage(costs: Costs, folder: Path, manifest: Manifest) -> Costs:
    """Return the costs without those of a disk if the images are objects now, or the reverse."""
    from feedbench.bench.trials.bench import MANIFEST

    listed = folder / MANIFEST
    if not costs.cold_rate or not listed.exists():
        return costs
    there = type(manifest).read(listed)
    if there.is_remote == manifest.is_remote:
        return costs
    places = ("on a disk", "in object storage")
    note = (
        f"The storage is not known: the images of that run were {places[there.is_remote]}, these "
        f"are {places[manifest.is_remote]}; --storage states its bandwidth."
    )
    left = {"cold_rate": None, "read_wait_s": None, "notes": [*costs.notes, note]}
    return costs.model_copy(update=left)


def _most_workers(trial: Trial, manifest: Manifest) -> int | None:
    """Return how many workers a loader has at most; None if more cores have more, or if unknown."""
    from feedbench.loaders import LoaderError, find_loader, parse_spec

    with suppress(LoaderError):  # its pack is not here, say
        loader = find_loader(trial.loader)
        if loader.stages is not None:
            stages = loader.stages(manifest, parse_spec(trial.spec), _parsed(trial))
            return stages.concurrency.most_workers if stages.concurrency else None
    return None


def _facts_of(folder: Path, machine: dict[str, Any] | None) -> dict[str, Any]:
    """Return what a record says of the machine that was measured; older ones do so in a file."""
    import json

    if machine and machine.get("cores"):
        return machine
    with suppress(OSError, ValueError, TypeError):
        return dict(json.loads((folder / "environment.json").read_bytes()))
    return {}


def _cores_of(folder: Path, facts: dict[str, Any]) -> int:
    if not facts.get("cores"):
        raise PlanError(f"--from {folder}: the record does not say how many cores there were")
    return int(facts["cores"])


def _with_machine(costs: Costs, facts: dict[str, Any]) -> Costs:
    """Return the costs with a note if another machine was measured than this one."""
    from feedbench.bench.environment import environment

    here, names = environment(), ("processor", "cores")
    if all(facts.get(name) in (None, here[name]) for name in names):
        return costs
    note = (
        f"Measured on another machine ({facts.get('processor')}, {costs.cores} cores): cores and "
        "memory that no option states are those of this one, and --core-speed is relative to that "
        "one's cores."
    )
    return costs.model_copy(update={"notes": [*costs.notes, note]})


def _chosen(found: BenchResult | LimitsResult, loader: str | None, sets: list[str] | None) -> Trial:
    """Return the trial of the loader, of the winner, or of the fastest that reads files.

    Scaled decoding gives other pixels, so it counts only where nothing else does.
    """
    from feedbench.bench.results.kinds import BenchResult
    from feedbench.bench.trials.internal_loaders import is_choice

    settings = _settings_of(loader, sets)
    if isinstance(found, BenchResult) and loader is None and found.summary.winner is not None:
        return found.trials[found.summary.winner]
    timed = [trial for trial in found.trials if trial.blocks and is_choice(trial.loader)]
    asked = [
        trial
        for trial in timed
        if loader in (None, trial.loader) and settings.items() <= _all_settings(trial).items()
    ]
    if not asked:
        names = ", ".join(str(_choice(trial)) for trial in timed) or "none"
        asked_for = " ".join([loader or "a loader", *(sets or ())])
        raise PlanError(f"--from {found.path}: no rate of {asked_for}; timed were: {names}")
    reading = [trial for trial in asked if _reads_files(trial)]
    full = [trial for trial in reading if not _decodes_scaled(trial)]
    return max(full or reading or asked, key=lambda trial: max(trial.rates.values()))


def _settings_of(loader: str | None, sets: list[str] | None) -> dict[str, Any]:
    """Return the values of `--set`, all of which must be of the loader that was named."""
    by_loader = parse_set(sets or (), several=False)
    other = next((name for name in by_loader if name != loader), None)
    if other is not None:
        raise PlanError(
            f"--set {other}: --from takes the costs of one loader; give --loader {other}"
        )
    return by_loader.get(loader or "", {})


def _all_settings(trial: Trial) -> dict[str, Any]:
    return {**trial.all_settings, **trial.settings}


def _choice(trial: Trial) -> Choice:
    from feedbench.bench.plan.plan import Choice

    return Choice(loader=trial.loader, settings=trial.settings)


def _reads_files(trial: Trial) -> bool:
    """Whether a loader reads the original files in every epoch."""
    return not _parsed(trial).fills_cache and "pack" not in trial.settings


def _decodes_scaled(trial: Trial) -> bool:
    """Whether a loader decodes at a reduced size."""
    from feedbench.loaders import find_loader

    return find_loader(trial.loader).upper_bound(_parsed(trial)).scaled


def _parsed(trial: Trial) -> Any:
    from feedbench.loaders import find_loader, parse_settings

    return parse_settings(find_loader(trial.loader), trial.settings)


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
    from feedbench.bench.diagnose.measure import diagnose
    from feedbench.bench.diagnose.progress import diagnosis_progress
    from feedbench.bench.diagnose.record import RECORD
    from feedbench.bench.diagnose.setup import DiagnosisTiming
    from feedbench.bench.files import removed_if_nothing_kept

    inside, timing = folder / "diagnosis", DiagnosisTiming(budget_s=seconds)
    with removed_if_nothing_kept(folder, but_for=f"{inside.name}/{RECORD}"):
        manifest, asked = _diagnosis(manifest, given, loader, set_, profile)
        inside.mkdir()
        with diagnosis_progress(console(to_errors=True), timing) as report:
            record = diagnose(asked, manifest, inside, report, timing)
    return manifest, costs_of_diagnosis(record, _bytes_per_value(record))


def _diagnosis(
    manifest: Manifest,
    given: OptionValues,
    loader: str | None,
    set_: list[str] | None,
    profile: Accelerator | None,
) -> tuple[Manifest, DiagnosisPlan]:
    """Return the images that the loader can read, and the diagnosis to make of it."""
    from feedbench.bench.commands.overlay import chosen_loader
    from feedbench.bench.diagnose.setup import DiagnosisPlan
    from feedbench.bench.plan.accelerators import find_accelerator
    from feedbench.bench.plan.plan import Choice
    from feedbench.bench.trials.feasibility import check_feasible
    from feedbench.loaders import DEFAULT_LOADER, parse_spec
    from feedbench.trainer import Recipe

    best = chosen_loader(loader or DEFAULT_LOADER, set_, given)
    spec = parse_spec(best.spec)
    manifest, _ = readable_rows(manifest, [best.loader], console())
    check_feasible(spec, manifest, [best.loader])
    asked = DiagnosisPlan(
        choice=Choice(loader=best.loader, settings=best.settings),
        spec=spec,
        recipe=Recipe(),
        consumer="emulated:target",
        # Of which only the loader alone is used.
        accelerator=profile or find_accelerator("a100"),
    )
    return manifest, asked
