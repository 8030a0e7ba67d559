"""train: the full training; its rate is compared with the predicted one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from feedbench.bench.commands.devices import chosen_devices
from feedbench.bench.commands.model_options import OptionValues, add_options, option
from feedbench.bench.commands.options import (
    ALPHA,
    DEVICES,
    FAILURES,
    MODEL,
    SPEC,
    Blacklist,
    Data,
    Json,
    Loader,
    Out,
    RecipeFile,
    Set,
    Tensorboard,
    list_images,
    readable_rows,
)
from feedbench.bench.commands.output import console, result_folder
from feedbench.bench.commands.overlay import chosen_loader, one_loader, recipe_of, spec_of
from feedbench.bench.commands.own_model import fit_spec
from feedbench.bench.commands.run_training import resume_command, run_training
from feedbench.bench.errors import PlanError
from feedbench.bench.plan.plan import Choice, Failures, Suite
from feedbench.bench.plan.toml import parse_model
from feedbench.loaders import Manifest, parse_spec
from feedbench.trainer import ONE, Recipe, check_divisible, device_count

if TYPE_CHECKING:
    from feedbench.bench.analysis.best import Best
    from feedbench.bench.cluster.hosts import Cluster


@add_options(
    *(option(Recipe, name) for name in ("weights", "epochs", "base_learning_rate")),
    MODEL,
    ALPHA,
    DEVICES,
    *SPEC,
    *FAILURES,
)
def train(
    data: Data,
    given: OptionValues,
    loader: Loader = None,
    set_: Set = None,
    recipe: RecipeFile = None,
    blacklist: Blacklist = None,
    checkpoint_seconds: Annotated[
        float,
        typer.Option(
            help="Seconds between checkpoints within an epoch; 0: only at epoch ends.", min=0
        ),
    ] = 300.0,
    checkpoint_steps: Annotated[
        int,
        typer.Option(
            help="Steps between checkpoints within an epoch; 0: only at epoch ends.", min=0
        ),
    ] = 0,
    tensorboard: Tensorboard = True,
    profile: Annotated[
        str | None,
        typer.Option(
            metavar="FIRST-LAST", help="Steps to profile with TensorFlow's profiler, such as 50-60."
        ),
    ] = None,
    resume: Annotated[
        Path | None,
        typer.Option(
            help="Resume the training in this folder as it was started. Options that would change "
            "the training are refused; repeat those of how it runs, such as --on-error."
        ),
    ] = None,
    cluster: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="A TOML file that lists the workers of a training on several machines, the same "
            "on each. By default TF_CONFIG, if it is set.",
        ),
    ] = None,
    worker: Annotated[
        int | None,
        typer.Option(
            help="Which of the workers in the file of --cluster this is, from 0, the chief; by "
            "default the one with an address of this machine.",
            min=0,
        ),
    ] = None,
    out: Out = None,
    json: Json = None,
) -> None:
    """A best.toml also sets batches, augmentation and recipe; options given here override it."""
    from feedbench.bench.cluster.hosts import cluster_of
    from feedbench.bench.training.options import CheckpointPolicy, TrainingOptions
    from feedbench.loaders import DEFAULT_LOADER

    members = cluster_of(cluster, worker)
    _check_resumed_by_chief(resume, members)
    options = TrainingOptions(
        checkpoints=CheckpointPolicy(checkpoint_seconds, checkpoint_steps),
        failures=parse_model(Failures, given[Failures], "options"),
        tensorboard=tensorboard,
        profile=_window(profile),
        resume=resume is not None,
        cluster=members,
    )
    if resume is None:
        best = chosen_loader(one_loader(loader) or DEFAULT_LOADER, set_, given)
        parsed_recipe = parse_model(
            Recipe, recipe_of(best.recipe, recipe, given), str(recipe or "recipe")
        )
    else:
        refused = {"loader": loader, "set": set_, "recipe": recipe, "out": out}
        names = [name for name, value in refused.items() if value is not None]
        best, parsed_recipe = _read_started(resume, [*names, *spec_of(given), *given[Recipe]])
    listed = list_images(data, blacklist)
    options = replace(options, rows=listed.only("train").fingerprint(sizes=True))
    # The default loader always reads the validation and test images.
    manifest, _ = readable_rows(listed, [best.loader, DEFAULT_LOADER], console())
    if resume is None:
        best = _fitted(best, parsed_recipe, manifest, given)
    best = _on_devices(best, given, is_resumed=resume is not None)
    _check_one_device_each(best.devices, members)
    folder = resume or _folder(out, members)
    again = resume_command(data, folder, _repeated(given, blacklist, cluster))
    run_training(best, parsed_recipe, manifest, folder, json, options, again=again)


def _check_resumed_by_chief(resume: Path | None, members: Cluster | None) -> None:
    """Check that of several workers, only the chief is to resume.

    Raises:
        PlanError: another one is.
    """
    if members is not None and not members.is_chief and resume is not None:
        raise PlanError(
            "--resume: the chief resumes, and sends the others its checkpoint; start "
            f"{members.name(members.worker)} as before"
        )


def _check_one_device_each(devices: str, members: Cluster | None) -> None:
    """Check that a worker of several trains on one device.

    Raises:
        PlanError: it has more.
    """
    if members is not None and devices != ONE:
        raise PlanError(
            f"--devices {devices}: each of several workers trains on one device; start a worker "
            "for each, with CUDA_VISIBLE_DEVICES"
        )


def _repeated(given: OptionValues, blacklist: Path | None, cluster: Path | None) -> dict[str, Any]:
    """Return the options that the command to resume a training has to repeat."""
    repeated = {**given[Suite], **given[Failures]}
    if blacklist is not None:
        repeated = {"blacklist": blacklist, **repeated}
    return repeated if cluster is None else {**repeated, "cluster": cluster, "worker": 0}


def _folder(out: Path | None, cluster: Cluster | None) -> Path:
    """Return the folder of the results; of a worker that is not the chief, one for its log."""
    if cluster is None or cluster.is_chief:
        return result_folder(out, "train")
    if out is None:
        return result_folder(None, f"train-worker-{cluster.worker}")
    folder = out.with_name(f"{out.name}-worker-{cluster.worker}")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise PlanError(f"{folder}: {error.strerror}; name another folder with --out") from error
    return folder


def _fitted(best: Best, recipe: Recipe, manifest: Manifest, given: OptionValues) -> Best:
    """Return the loader with images of the size that the recipe's own model takes, if it has one.

    The predicted rate is removed if that is another size.
    """
    spec, classes = parse_spec(best.spec), len(manifest.classes)
    choice = Choice(loader=best.loader, settings=best.settings)
    size = fit_spec(spec, recipe, classes, given, [choice], manifest.only("train")).image_size
    if size == spec.image_size:
        return best
    sized = {**best.spec, "image_size": size}
    return best.without_rate(
        f"images of {spec.image_size} px were measured, not {size}", spec=sized
    )


def _on_devices(best: Best, given: OptionValues, *, is_resumed: bool) -> Best:
    """Return the loader with the devices of `--devices`, or else those that it was measured with.

    The predicted rate is removed if they are others.

    Raises:
        DevicesError: there are fewer, or they do not divide the batch of a training that resumes.
    """
    devices = chosen_devices(given, best.devices)
    if is_resumed:
        check_divisible(parse_spec(best.spec).batch_size, device_count(devices), is_resumed=True)
    if devices == best.devices:
        return best
    why = f"other devices were measured: {best.devices} against {devices}"
    return best.without_rate(why, devices=devices)


def _read_started(folder: Path, given: list[str]) -> tuple[Best, Recipe]:
    """Return the loader and the recipe that a training was started with.

    Args:
        given: options on the command line that would change them.

    Raises:
        PlanError: such an option is given.
    """
    from feedbench.bench.training.folder import read_config_to_resume

    for name in given:
        raise PlanError(
            f"--resume: the training continues as it was started; leave out "
            f"--{name.replace('_', '-')}"
        )
    return read_config_to_resume(folder)


def _window(text: str | None) -> tuple[int, int] | None:
    """Parse `FIRST-LAST`, the first and the last step to profile."""
    if text is None:
        return None
    first, dash, last = text.partition("-")
    if not (dash and first.isdecimal() and last.isdecimal() and 1 <= int(first) <= int(last)):
        raise PlanError(f"--profile {text}: must be FIRST-LAST with steps from 1, such as 50-60")
    return int(first), int(last)
