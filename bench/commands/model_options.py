"""Options derived from the fields of models: their type, choices, default and help."""

from __future__ import annotations

import inspect
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Annotated, Any

import typer
from pydantic import BaseModel, ValidationError, create_model
from rich.markup import escape

from feedbench.bench.errors import PlanError
from feedbench.bench.plan.plan import Failures, PixelCheck, Suite, Timing
from feedbench.loaders import Augment, BatchSpec, bounds, explain
from feedbench.trainer import Recipe

# The heading in a command's help under which the fields of a model are listed.
PANELS: dict[type[BaseModel], str] = {
    BatchSpec: "Batches",
    Augment: "Augmentation",
    Recipe: "Recipe",
    Suite: "Measurement",
    Timing: "Measurement",
    PixelCheck: "Pixel check",
    Failures: "Files that fail",
}

# The values given on the command line, by model, then by field.
OptionValues = defaultdict[type[BaseModel], dict[str, Any]]
Command = Callable[..., None]
_KEYWORD = inspect.Parameter.KEYWORD_ONLY


@dataclass(frozen=True)
class ModelOption:
    """An option that sets one field of a model.

    Attributes:
        parameter: the parameter that typer turns into the option. Its default is only shown in
            the help: an option that is not given sets nothing.
        parse: converts the value of the option to that of the field.
    """

    model: type[BaseModel]
    field: str
    parameter: inspect.Parameter
    parse: Callable[[Any], Any]

    def checked(self, value: Any) -> Any:
        """Return the value of the option as that of the field.

        Raises:
            PlanError: the field does not allow it; the text names the option.
        """
        parsed = self.parse(value)
        field = self.model.model_fields[self.field]
        alone = create_model("Options", **{self.field: (field.annotation, field)})  # type: ignore[call-overload]
        try:
            alone.model_validate({self.field: parsed})
        except ValidationError as error:
            fault = explain(error, alone).removeprefix(f"{self.field}: ")
            fault = fault.replace(f"{self.field}.", "", 1)
            raise PlanError(f"{self._flag}: {fault}") from error
        return parsed

    @property
    def _flag(self) -> str:
        (option,) = self.parameter.annotation.__metadata__
        flags = option.param_decls or (f"--{self.field.replace('_', '-')}",)
        return str(flags[0])


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
    """Return the option of a model's field.

    Args:
        flags: such as "--flip/--no-flip"; derived from the name if there are none.
        default: the default of the command, if it differs from that of the field.
        kind: type of the option, if it differs from that of the field.
        parse: converts the value of the option to that of the field.
        more: added to the description of the field.
        settings: further arguments of `typer.Option`.
    """
    field = model.model_fields[name]
    shown_default = field.default if default is None else default
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
        default=as_text(shown_default) if kind else shown_default,
        annotation=Annotated[kind or field.annotation, typer.Option(*flags, **values | settings)],
    )
    return ModelOption(model, name, parameter, parse)


def as_text(value: Any) -> str | None:
    """Return a default as it would be typed on the command line; None if it cannot be."""
    if value is None or isinstance(value, BaseModel) or value == ():
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, tuple):
        return ",".join(f"{part:g}" for part in value)
    return str(value)


def add_options(*options: ModelOption) -> Callable[[Command], Command]:
    """Add options to a command, which receives their values as its argument `given`."""

    def decorate(command: Command) -> Command:
        @wraps(command)
        def with_options(context: typer.Context, **values: Any) -> None:
            given: OptionValues = defaultdict(dict)
            for option in options:
                value = values.pop(option.field)
                if _is_given(context, option.field):
                    given[option.model][option.field] = option.checked(value)
            command(given=given, **values)

        parameters = inspect.signature(command, eval_str=True).parameters.values()
        with_options.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
            [
                inspect.Parameter("context", _KEYWORD, annotation=typer.Context),
                *(each.replace(kind=_KEYWORD) for each in parameters if each.name != "given"),
                *(option.parameter for option in options),
            ]
        )
        return with_options

    return decorate


def _is_given(context: typer.Context, name: str) -> bool:
    source = context.get_parameter_source(name)
    return source is not None and source.name != "DEFAULT"
