"""loaders: lists the loaders and their settings."""

from __future__ import annotations

from feedbench.bench.commands.model_options import as_text
from feedbench.bench.commands.options import Json
from feedbench.bench.commands.output import console
from feedbench.loaders import LOADERS, allowed


def loaders(json: Json = None) -> None:
    """Set them by --set LOADER.NAME=VALUE."""
    from rich.table import Table
    from rich.text import Text

    from feedbench.bench.files import write_json

    terminal = console()
    for loader in LOADERS.values():
        terminal.print(Text.assemble((loader.name, "bold"), f": {loader.summary}"))
        fields = loader.settings.model_fields
        if fields:
            table = Table("setting", "allowed", "default", "what it does", box=None, padding=(0, 2))
            for name, field in fields.items():
                default = as_text(field.default) or "–"
                table.add_row(name, allowed(field), default, field.description)
            terminal.print(table)
    if json is not None:
        write_json(
            json,
            {
                loader.name: {
                    "summary": loader.summary,
                    "follows_order": loader.follows_order,
                    "settings": loader.settings.model_json_schema().get("properties", {}),
                }
                for loader in LOADERS.values()
            },
        )
