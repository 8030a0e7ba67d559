"""The settings of a user's function: its parameters that Feedbench does not give."""

from __future__ import annotations

import warnings
from difflib import get_close_matches
from typing import Any

from pydantic import ConfigDict, create_model, model_validator

from feedbench.loaders.contract import Settings
from feedbench.loaders.own.find import short_name
from feedbench.loaders.own.function import OFFERED, REQUIRED, OwnFunction
from feedbench.loaders.own.none import with_none
from feedbench.loaders.validation import alternatives


def given(settings: Settings) -> dict[str, Any]:
    """What the user set; for all else the function's own defaults hold."""
    return settings.model_dump(exclude_unset=True)


def settings_of(function: OwnFunction) -> type[Settings]:
    """The settings class of a function; it checks names, and leaves values to the function."""
    own = _own_parameters(function)
    fields: dict[str, Any] = {
        name: (Any, ... if default is REQUIRED else default) for name, default in own.items()
    }

    def check(cls: type[Settings], values: Any) -> Any:
        for problem in _problems(function, own, values):
            raise ValueError(f"{function.place}: {problem}")
        return {name: with_none(value) for name, value in values.items()}

    before: Any = classmethod(check)
    validators: Any = {"check": model_validator(mode="before")(before)}
    extra = "allow" if function.takes_any else "forbid"
    config = ConfigDict(extra=extra, protected_namespaces=())  # type: ignore[typeddict-item]
    base = type(Settings.__name__, (Settings,), {"model_config": config})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of names that pydantic's models have too, such as `copy`
        return create_model(
            function.function,
            __base__=base,
            __validators__=validators,
            **fields,
        )


def _own_parameters(function: OwnFunction) -> dict[str, Any]:
    """The default of each parameter that can be set; private ones and pydantic's own cannot."""
    own: dict[str, Any] = dict.fromkeys(function.space)  # also those that only **options takes
    own |= {one.name: one.default for one in function.parameters if one.name not in OFFERED}
    return {
        name: default
        for name, default in own.items()
        if not name.startswith("_") and name != "model_config"
    }


def _problems(function: OwnFunction, own: dict[str, Any], values: dict[str, Any]) -> list[str]:
    """What is wrong with some settings."""
    name, takes_any = function.function, function.takes_any
    given_twice = [one for one in values if one in OFFERED]
    unknown = [one for one in values if one not in own and one not in OFFERED]
    required = [one.name for one in function.parameters if one.default is REQUIRED]
    missing = [one for one in required if one not in OFFERED and one not in values]
    return [
        *(f"{name} is given {one} by Feedbench; it cannot be set" for one in given_twice),
        *(
            f"{name} has no parameter {one!r}; {alternatives(one, own)}"
            for one in unknown
            if not takes_any
        ),
        *(_needs(function, one) for one in missing),
    ]


def _needs(function: OwnFunction, parameter: str) -> str:
    """What to do about a parameter without a value; it may be a misspelled value of Feedbench."""
    near = get_close_matches(parameter, OFFERED, 1)
    meant = f"did you mean {near[0]!r}? Else " if near else ""
    setting = f"{short_name(function.name)}.{parameter}"
    return f"{function.function} needs {parameter}; {meant}give it by --set {setting}=VALUE"
