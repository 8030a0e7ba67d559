"""plan: what a larger target needs, from what was measured here."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from feedbench.bench.commands.model_options import OptionValues, add_options
from feedbench.bench.commands.options import (
    BATCH_SIZE,
    IMAGE_SIZE,
    Blacklist,
    Data,
    Json,
    Loader,
    Out,
    Set,
    list_images,
    readable_rows,
)
from feedbench.bench.commands.output import console, print_parts, result_folder
from feedbench.bench.errors import PlanError

if TYPE_CHECKING:
    from feedbench.bench.accelerator import Accelerator
    from feedbench.bench.capacity.costs import Costs
    from feedbench.bench.diagnose.record import DiagnosisRecord
    from feedbench.bench.record import Trial
    from feedbench.bench.results.kinds import BenchResult, LimitsResult
    from feedbench.loaders import Manifest

_SAMPLE = 20_000  # files whose sizes are read
_GIGA, _MEGA = 1e9, 1e6


@add_options(BATCH_SIZE, IMAGE_SIZE)
def plan(
    data: Data,
    given: OptionValues,
    accelerator: Annotated[
        str,
        typer.Option(
            metavar="NAME[:COUNT]",
            help="The accelerators of the target, such as a100:8; feedbench accelerators lists the "
            "names. With --rate, any name.",
        ),
    ],
    rate: Annotated[
        float | None,
        typer.Option(help="Images per second of one accelerator, instead of its profile's.", min=0),
    ] = None,
    from_: Annotated[
        Path | None,
        typer.Option(
            "--from",
            metavar="RESULT",
            help="Take the costs from this diagnose, limits or bench run; by default the loader is "
            "diagnosed now.",
        ),
    ] = None,
    loader: Loader = None,
    set_: Set = None,
    hosts: Annotated[int, typer.Option(help="Machines that share the accelerators.", min=1)] = 1,
    cores: Annotated[
        int | None, typer.Option(help="Cores of each host; by default as many as here.", min=1)
    ] = None,
    core_speed: Annotated[
        float, typer.Option(help="Speed of such a core, relative to one here.", min=0.01)
    ] = 1.0,
    memory: Annotated[
        float | None,
        typer.Option(help="Memory of each host in GB; by default what is available here.", min=0.1),
    ] = None,
    storage: Annotated[
        float | None,
        typer.Option(
            help="Bandwidth of the storage in MB/s; by default what was measured here.", min=0.1
        ),
    ] = None,
    network: Annotated[
        float | None, typer.Option(help="Bandwidth of each host's network in Gbit/s.", min=0.01)
    ] = None,
    seconds: Annotated[
        float, typer.Option(help="Time budget of the diagnosis in seconds.", min=1)
    ] = 60.0,
    blacklist: Blacklist = None,
    out: Out = None,
    json: Json = None,
) -> None:
    """Cores, service workers, storage, network and memory that keep the accelerators busy."""
    from feedbench.bench.capacity.needs import plan_for
    from feedbench.bench.capacity.table import parts
    from feedbench.bench.capacity.target import Target, parse_accelerator, rate_assumptions
    from feedbench.bench.files import write_json
    from feedbench.loaders import available_memory, usable_cores

    name, count = parse_accelerator(accelerator)
    profile = _profile(name, rate)
    if from_ is not None and (loader or set_):
        raise PlanError("--from: the loader is that of the run; leave out --loader and --set")
    manifest = list_images(data, blacklist).only("train")
    folder = result_folder(out, "plan")
    if from_ is None:
        manifest, costs = _measured(manifest, given, loader, set_, profile, folder, seconds)
    else:
        costs = _costs_in(from_)
    size = costs.image_size
    target = Target(
        accelerator=name,
        count=count,
        rate=rate or (1 / profile.seconds_per_image(size) if profile else 0),
        images=len(manifest),
        bytes_per_image=_bytes_per_image(manifest),
        hosts=hosts,
        cores=cores or usable_cores(),
        core_speed=core_speed,
        memory_bytes=memory * _GIGA if memory else available_memory(),
        storage_bytes_per_s=storage * _MEGA if storage else None,
        network_bits_per_s=network * _GIGA if network else None,
    )
    assumptions = rate_assumptions(profile, size) if profile else []
    planned = plan_for(target, costs, assumptions)
    for path in filter(None, (folder / "plan.json", json)):
        write_json(path, planned.model_dump())
    print_parts(console(), parts(planned))
    console().print(f"Record: {folder}", highlight=False, soft_wrap=True)


def _profile(name: str, rate: float | None) -> Accelerator | None:
    """Return the profile of the accelerators; None if only their rate is known.

    Raises:
        PlanError: no profile has that name, and no rate is given.
    """
    from feedbench.bench.plan.accelerators import accelerators, find_accelerator

    if rate is not None:
        return None
    try:
        return find_accelerator(name)
    except PlanError as error:
        if name in accelerators():
            raise
        raise PlanError(f"{error}; or give its images per second as --rate") from None


def _bytes_per_image(manifest: Manifest) -> float:
    import numpy as np

    from feedbench.bench.trials.cache_state import Files

    rows = np.random.default_rng(0).permutation(len(manifest))[:_SAMPLE]
    return max(1.0, Files(manifest).size(rows.tolist()) / len(rows))


def _costs_in(result: Path) -> Costs:
    """Return the costs from the record of a run.

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
    trial = _chosen(found)
    cores = int((trial.machine or {}).get("cores") or 0)
    if not cores:
        raise PlanError(f"--from {result}: the record does not say how many cores there were")
    per_value = 4 if trial.all_settings.get("output") == "float32" else 1
    return costs_of_trial(trial, cores, [] if isinstance(cold, str) else cold, per_value)


def _chosen(found: BenchResult | LimitsResult) -> Trial:
    """Return the trial of the winner, or of the fastest loader."""
    from feedbench.bench.results.kinds import BenchResult
    from feedbench.bench.trials.internal_loaders import is_choice

    if isinstance(found, BenchResult) and found.summary.winner is not None:
        return found.trials[found.summary.winner]
    timed = [trial for trial in found.trials if trial.blocks and is_choice(trial.loader)]
    if not timed:
        raise PlanError(f"--from {found.path}: no loader was timed")
    return max(timed, key=lambda trial: max(trial.rates.values()))


def _bytes_per_value(record: DiagnosisRecord) -> int:
    from feedbench.loaders import find_loader, parse_settings

    settings = parse_settings(find_loader(record.loader), record.settings)
    return 4 if settings.image_dtype == "float32" else 1


def _measured(
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
