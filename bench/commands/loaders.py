"""loaders: lists the loaders and their settings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from feedbench.bench.commands.model_options import as_text
from feedbench.bench.commands.options import Json
from feedbench.bench.commands.output import console
from feedbench.loaders import LOADERS, Loader, LoaderError, allowed, find_loader, installed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Console
    from rich.table import Table


def loaders(json: Json = None) -> None:
    """Set them by --set LOADER.NAME=VALUE."""
    from rich.text import Text

    from feedbench.bench.files import write_json

    terminal = console()
    listed = [*LOADERS.values(), *_installed(terminal)]
    for loader in listed:
        terminal.print(Text.assemble((loader.name, "bold"), f": {loader.summary}"))
        terminal.print(_settings_table(loader) if loader.settings.model_fields else "  no settings")
    if json is not None:
        write_json(
            json,
            {
                loader.name: {
                    "summary": loader.summary,
                    "follows_order": loader.follows_order,
                    "settings": loader.settings.model_json_schema().get("properties", {}),
                }
                for loader in listed
            },
        )


def _installed(terminal: Console) -> Iterator[Loader]:
    """Yield the loaders of installed packages; print why one cannot be used."""
    for name in installed():
        try:
            yield find_loader(name)
        except LoaderError as error:
            terminal.print(f"{name}: {error}", style="red", soft_wrap=True)


def _settings_table(loader: Loader) -> Table:
    from rich.table import Table

    table = Table("setting", "allowed", "default", "what it does", box=None, padding=(0, 2))
    for name, field in loader.settings.model_fields.items():
        default = as_text(field.default) or "–"
        table.add_row(name, allowed(field), default, field.description)
    return table
