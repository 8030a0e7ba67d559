"""The pages that list every command and setting, from the code that reads them."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

import typer
from pydantic import BaseModel
from tables import cell, code, table

from feedbench.bench.cli import COMMANDS, command_app
from feedbench.bench.commands.model_options import as_text
from feedbench.bench.plan.plan import Failures, PixelCheck, Suite, Timing
from feedbench.loaders import LOADERS, Augment, BatchSpec, allowed
from feedbench.trainer import Recipe

_COMMANDS = """# Commands

Generated from the command line itself. `feedbench COMMAND --help` prints the same, and
`feedbench --version` the versions. `-h` is short for `--help`.

"""
_SETTINGS = """# Settings

Generated from the models that read them. `feedbench loaders` prints the settings of loaders, and
`feedbench recipe` a recipe file with every field.

"""
_MODELS: dict[str, tuple[type[BaseModel], str]] = {
    "Batch spec": (BatchSpec, "`spec` in suite and study files; `BatchSpec` in Python."),
    "Augmentation": (Augment, "`augment` of the batch spec; `--augment NAME=VALUE`."),
    "Recipe": (Recipe, "`recipe` in suite and study files; a file of its own for `--recipe`."),
    "Suite file": (Suite, "A TOML file for `bench --suite`."),
    "Timing": (Timing, "`timing` in suite files."),
    "Pixel check": (PixelCheck, "`pixels` in suite files."),
    "Files that fail": (Failures, "`failures` in suite and study files."),
}


def commands_page() -> str:
    """Return the page of all commands, under the headings of `feedbench --help`."""
    parts = [_COMMANDS]
    for panel, names in groupby(COMMANDS, key=lambda name: COMMANDS[name].panel):
        parts += [f"## {panel}\n\n", *(_command(name) for name in names)]
    return "".join(parts)


def settings_page() -> str:
    """Return the page of all settings that files and options set."""
    parts = [_SETTINGS, "## Loaders\n\nSet by `--set LOADER.NAME=VALUE`, or in TOML files.\n\n"]
    for name, loader in LOADERS.items():
        parts.append(f"### {name}\n\n{loader.summary}\n\n{_fields(loader.settings)}\n")
    for title, (model, where) in _MODELS.items():
        parts.append(f"## {title}\n\n{where}\n\n{_fields(model)}\n")
    return "".join(parts)


def _fields(model: type[BaseModel]) -> str:
    rows = [
        (code(name), cell(allowed(field)), _default(field), cell(field.description or ""))
        for name, field in model.model_fields.items()
    ]
    if not rows:
        return "No settings.\n"
    return table(("name", "allowed", "default", "what it does"), rows)


def _default(field: Any) -> str:
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)
    if isinstance(value, BaseModel):
        return "its own defaults"
    text = as_text(value)
    return code(text) if text else "–"


def _command(name: str) -> str:
    entry, command = COMMANDS[name], typer.main.get_command(command_app(name))
    example = f"feedbench {name} {entry.example}".rstrip()
    parts = [f"### {name}\n\n{inspect.cleandoc(command.help or '')}\n\n```sh\n{example}\n```\n\n"]
    parameters = [one for one in command.params if not getattr(one, "hidden", False)]
    arguments = [one for one in parameters if one.param_type_name == "argument"]
    if arguments:
        rows = [(code(one.metavar or one.name.upper()), cell(_help(one))) for one in arguments]
        parts.append(table(("argument", "meaning"), rows) + "\n")
    options = [one for one in parameters if one.param_type_name == "option"]
    parts += _options(options, command.context_class(command))
    return "".join(parts)


def _options(options: Sequence[Any], context: Any) -> Iterator[str]:
    """Yield one table for each heading of the help."""
    headings = dict.fromkeys(option.rich_help_panel for option in options)
    for heading in headings:
        rows = [
            (_names(one), _value(one, context), _shown_default(one), cell(_help(one)))
            for one in options
            if one.rich_help_panel == heading
        ]
        title = f"**{heading}**\n\n" if heading else ""
        yield title + table(("option", "value", "default", "meaning"), rows) + "\n"


def _names(option: Any) -> str:
    return ", ".join(code(name) for name in (*option.opts, *option.secondary_opts))


def _value(option: Any, context: Any) -> str:
    kind = option.metavar or option.display_type(context).strip("<>").removesuffix(" range")
    limits = ((" ≥ ", option.min), (" ≤ ", option.max))
    text = kind + "".join(f"{sign}{limit:g}" for sign, limit in limits if limit is not None)
    return "" if kind == "bool" else code(text)


def _shown_default(option: Any) -> str:
    if option.default is None or (isinstance(option.default, bool) and not option.secondary_opts):
        return ""
    if isinstance(option.default, bool):
        return code((option.opts if option.default else option.secondary_opts)[0])
    return code(as_text(option.default))


def _help(parameter: Any) -> str:
    return parameter.help or ""
