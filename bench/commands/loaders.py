"""loaders: lists the loaders and their settings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from feedbench.bench.commands.model_options import as_text
from feedbench.bench.commands.options import Json
from feedbench.bench.commands.output import console, print_parts
from feedbench.loaders import (
    LOADERS,
    Loader,
    LoaderError,
    allowed,
    find_loader,
    install_command,
    installed,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydantic.fields import FieldInfo
    from rich.console import Console

    from feedbench.bench.report.document import TableData


def loaders(json: Json = None) -> None:
    """Set them by --set LOADER.NAME=VALUE."""
    from rich.text import Text

    from feedbench.bench.files import write_json

    terminal = console()
    listed = [*LOADERS.values(), *_installed(terminal)]
    for loader in listed:
        terminal.print(Text.assemble((loader.name, "bold"), f": {loader.summary}"))
        if note := _missing(loader):
            terminal.print(note, style="yellow", highlight=False, markup=False, soft_wrap=True)
        if loader.settings.model_fields:
            print_parts(terminal, [_settings_table(loader)])
        else:
            terminal.print("  no settings")
    if json is not None:
        write_json(
            json,
            {
                loader.name: {
                    "summary": loader.summary,
                    "follows_order": loader.follows_order,
                    "missing": list(loader.package.missing()) if loader.package else [],
                    "settings": loader.settings.model_json_schema().get("properties", {}),
                }
                for loader in listed
            },
        )


def _missing(loader: Loader) -> str:
    """Return what a loader needs that is not installed, and how to install it; empty if nothing."""
    if loader.package is None or not (missing := loader.package.missing()):
        return ""
    command = install_command([loader.package])
    return f"needs {', '.join(missing)}, not installed: {command}"


def _installed(terminal: Console) -> Iterator[Loader]:
    """Yield the loaders of installed packages; print why one cannot be used."""
    for name in installed():
        try:
            yield find_loader(name)
        except LoaderError as error:
            terminal.print(f"{name}: {error}", style="red", soft_wrap=True)


def _settings_table(loader: Loader) -> TableData[tuple[str, FieldInfo]]:
    """Return one row per setting."""
    from feedbench.bench.report.document import TableData, words

    return TableData(
        name=loader.name,
        columns=[
            words("setting", "setting", lambda row: row[0]),
            words("allowed", "allowed", lambda row: allowed(row[1])),
            words("default", "default", lambda row: as_text(row[1].default)),
            words("what it does", "description", lambda row: row[1].description),
        ],
        rows=list(loader.settings.model_fields.items()),
    )
