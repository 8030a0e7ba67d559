"""Options of commands that are made from the fields of models: type, choices, default and help."""

from __future__ import annotations

import inspect
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Annotated, Any

import typer
from pydantic import BaseModel
from rich.markup import escape

from feedbench.bench.plan.plan import Failures, PixelCheck, Suite, Timing
from feedbench.loaders import Augment, BatchSpec
from feedbench.loaders.explain import bounds
from feedbench.trainer import Recipe

# The part of a command's help in which the fields of a model are listed.
PANELS: dict[type[BaseModel], str] = {
    BatchSpec: "Batches",
    Augment: "Augmentation",
    Recipe: "Recipe",
    Suite: "Measurement",
    Timing: "Measurement",
    PixelCheck: "Pixel check",
    Failures: "Files that fail",
}

# The fields that were given on the command line, by model.
OptionValues = defaultdict[type[BaseModel], dict[str, Any]]
Command = Callable[..., None]
_KEYWORD = inspect.Parameter.KEYWORD_ONLY


@dataclass(frozen=True)
class ModelOption:
    """An option that sets one field of a model.

    Attributes:
        parameter: what typer makes the option from. Its default is for the help alone: an option
            that is not given sets nothing.
        parse: makes the field's value from the option's.
    """

    model: type[BaseModel]
    field: str
    parameter: inspect.Parameter
    parse: Callable[[Any], Any]


def option(
    model: type[BaseModel],
    name: str,
    *flags: str,
    default: Any = None,
    kind: Any = None,
    parse: Callable[[Any], Any] = lambda value: value,
    more: str = "",
    **settings: Any,
) -> ModelOption:
    """The option of a model's field.

    Args:
        flags: such as "--flip/--no-flip"; without them one is made from the name.
        default: shown instead of the field's own, where a command has another one.
        kind: type of the option, where it is not that of the field.
        more: added to the field's description.
        settings: of `typer.Option`.
    """
    field = model.model_fields[name]
    shown = field.default if default is None else default
    limits = bounds(field)
    values = {
        "help": escape(f"{field.description} {more}".strip()),
        "min": limits.get("ge"),
        "max": limits.get("le"),
        "rich_help_panel": PANELS[model],
    }
    parameter = inspect.Parameter(
        name,
        _KEYWORD,
        default=as_text(shown) if kind else shown,
        annotation=Annotated[kind or field.annotation, typer.Option(*flags, **values | settings)],
    )
    return ModelOption(model, name, parameter, parse)


def as_text(value: Any) -> str | None:
    """A default as it would be given on the command line; None if there is none to give."""
    if value is None or isinstance(value, BaseModel) or value == ():
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, tuple):
        return ",".join(f"{part:g}" for part in value)
    return str(value)


def add_options(*options: ModelOption) -> Callable[[Command], Command]:
    """Add options to a command; what is given on the command line reaches it as `given`."""

    def decorate(command: Command) -> Command:
        @wraps(command)
        def with_given(context: typer.Context, **values: Any) -> None:
            given: OptionValues = defaultdict(dict)
            for one in options:
                value = values.pop(one.field)
                if _is_given(context, one.field):
                    given[one.model][one.field] = one.parse(value)
            command(given=given, **values)

        own = inspect.signature(command, eval_str=True).parameters.values()
        with_given.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
            [
                inspect.Parameter("context", _KEYWORD, annotation=typer.Context),
                *(one.replace(kind=_KEYWORD) for one in own if one.name != "given"),
                *(one.parameter for one in options),
            ]
        )
        return with_given

    return decorate


def _is_given(context: typer.Context, name: str) -> bool:
    source = context.get_parameter_source(name)
    return source is not None and source.name != "DEFAULT"
