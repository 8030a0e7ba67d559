"""The text of a Python module that reads images as the choice of a best.toml does."""

from __future__ import annotations

import os
import textwrap
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from feedbench.bench.analysis.best import Best, RunnerUp
from feedbench.bench.errors import PlanError
from feedbench.bench.plan.plan import Choice
from feedbench.bench.quantities import quantity
from feedbench.loaders import (
    CODE_LAYOUTS,
    BatchSpec,
    CodeRequest,
    Loader,
    Manifest,
    Settings,
    check_package,
    check_regions,
    find_loader,
    parse_settings,
    parse_spec,
    printable,
    stream_code,
    usable,
)

_WIDTH = 88
_MOST_RUNNERS_UP = 4
_MOST_LEFT_OUT = 100  # names that are written into the module


@dataclass(frozen=True)
class Exported:
    """A choice that can be written as code.

    Attributes:
        text: where the choice comes from, as the user named it.
    """

    text: str
    best: Best
    loader: Loader
    settings: Settings
    spec: BatchSpec


def exported(text: str, best: Best) -> Exported:
    """Return what is exported.

    Raises:
        PlanError: the loader reads no files, or is code already.
        LoaderError: there is no such loader, its settings are not valid, or what it needs is
            missing.
    """
    check_package(best.loader)
    loader = find_loader(best.loader)
    where = "" if text == loader.name else f"{text}: "
    if not loader.is_choice:
        raise PlanError(f"{where}{loader.name} gives synthetic images; export another loader")
    if loader.own is not None:
        raise PlanError(f"{where}{loader.name} is code of your own already; {_use(best)}")
    settings = parse_settings(loader, best.settings)
    loader.upper_bound(settings)  # reads the pack, if it needs one
    spec = parse_spec(best.spec)
    check_regions(loader, spec, settings)
    return Exported(text, best, loader, settings, spec)


def _use(best: Best) -> str:
    """Return how to call a user's function as the choice does."""
    values = [f"{name}={value!r}" for name, value in best.settings.items()]
    return f"call it with {', '.join(values)}" if values else "use it as it is"


def module_text(choice: Exported, manifest: Manifest | None, name: str, today: date) -> str:
    """Return the whole module.

    Args:
        manifest: images of the source that it is to read; None for any folder of classes.
        name: of its file.

    Raises:
        PlanError: the loader does not read that source, or the module would have to name too many
            files that are left out.
    """
    layout = None if manifest is None else manifest.layout
    is_listed = manifest is not None and _is_manifest(manifest)  # code cannot read it
    left_out = () if manifest is None else _left_out(manifest, choice.loader)
    request = CodeRequest(choice.loader.name, choice.spec, choice.settings, layout, left_out)
    is_plain = manifest is None or not manifest.is_remote
    lists_itself = is_plain and not is_listed and layout in (None, *CODE_LAYOUTS)
    write = choice.loader.code if lists_itself else stream_code
    if write is stream_code and manifest is not None and not choice.loader.can_read(manifest):
        source = printable(str(manifest.source or manifest.root))
        raise PlanError(f"{choice.loader.name} does not read {source}; export another loader")
    code = write(request)
    origin = [_in_docstring(paragraph) for paragraph in _origin(choice, today)]
    docstring = "\n\n".join([_first_line(choice.spec), *origin, code.usage])
    return f'"""{docstring}\n"""\n\n{code.body}'.replace("THIS_FILE", name)


def _is_manifest(manifest: Manifest) -> bool:
    """Whether the source is a manifest, whose rows and splits may be any."""
    return manifest.source is not None and manifest.source.suffix == ".parquet"


def _first_line(spec: BatchSpec) -> str:
    side = spec.image_size
    return f"Input pipeline: batches of {spec.batch_size} images of {side} × {side} pixels."


def _in_docstring(text: str) -> str:
    """Return a text with the names of files in it as a docstring can hold it."""
    return text.replace("\\", "\\\\").replace('"', '\\"')


def _place(text: str) -> str:
    """Return a path as the user named it; of an absolute one, which others lack, only its end."""
    path = Path(text)
    return str(Path(*path.parts[-2:])) if path.is_absolute() else text


def _origin(choice: Exported, today: date) -> list[str]:
    """Where the choice comes from, and how fast it was, as paragraphs."""
    best, named = choice.best, Choice(loader=choice.loader.name, settings=choice.best.settings)
    source = "" if choice.text == choice.loader.name else f", from {printable(_place(choice.text))}"
    paragraphs = [f"Written by `feedbench export` on {today}: {named}{source}."]
    if best.predicted is not None:
        rate = f"{best.predicted.images_per_second:,.0f}"
        paragraphs.append(
            f"Measured{_machine(best)} with the consumer {best.consumer}: {rate} images per second "
            "(95 % interval)."
        )
    if best.runners_up:
        others = "; ".join(map(_runner_up, best.runners_up[:_MOST_RUNNERS_UP]))
        paragraphs.append(f"Rates of others in the same rounds, relative to this one: {others}.")
    return [textwrap.fill(paragraph, _WIDTH) for paragraph in paragraphs]


def _machine(best: Best) -> str:
    if not best.machine:
        return ""
    return f" on {quantity(best.machine['cores'], 'core')} of {best.machine['processor']}"


def _runner_up(other: RunnerUp) -> str:
    named = Choice(loader=other.loader, settings=other.settings)
    return f"{named} {other.ratio:.2f}{' (tie)' if other.tie else ''}"


def _left_out(manifest: Manifest, loader: Loader) -> tuple[str, ...]:
    """The names of the files that the loader does not use."""
    names = usable(manifest, [loader.readable_by])[1]["path"].to_pylist()
    if len(names) > _MOST_LEFT_OUT:
        raise PlanError(
            f"{manifest.root}: {len(names):,} files are left out, too many to name in code, such "
            f"as {printable(names[0])}; remove them, feedbench scan --bad lists them"
        )
    return tuple(map(os.fsdecode, names))
