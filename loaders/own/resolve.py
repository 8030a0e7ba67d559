"""From the name of a user's function to a loader with the function's own settings."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from pydantic import ConfigDict, create_model, model_validator

from feedbench.loaders.contract import Loader, Settings
from feedbench.loaders.own.find import Place, find_place
from feedbench.loaders.own.function import REQUIRED, OwnFunction
from feedbench.loaders.own.signature import read_function
from feedbench.loaders.own.stream import OFFERED, open_stream
from feedbench.loaders.validation import alternatives


def own_loader(name: str, where: str | None = None) -> Loader:
    """The loader that calls a user's function; the function is read, not run.

    Args:
        name: as the user gave it.
        where: the place of the function if `name` does not say it.

    Raises:
        LoaderError: there is no such function, or its file is not valid.
    """
    place = find_place(where or name)
    stat = place.file.stat()
    return _loader(name, place, (stat.st_mtime_ns, stat.st_size))


@lru_cache(maxsize=64)
def _loader(name: str, place: Place, version: tuple[int, int]) -> Loader:
    """The loader of a file's version: it is asked for often, and its file may be removed."""
    function = read_function(name, place)
    return Loader(
        name=name,
        summary=f"own function {function.function} in {function.file}",
        settings=_settings_of(function),
        open=lambda request, settings: open_stream(function, request, settings),
        readable_by=(),
        follows_order=False,
        space=function.space,
        own=function,
    )


class OwnSettings(Settings):
    """The settings of a user's function: its parameters that Feedbench does not give."""

    @property
    def given(self) -> dict[str, Any]:
        """What the user set; the function's own defaults hold for the others."""
        return {name: getattr(self, name) for name in self.model_fields_set}


def _settings_of(function: OwnFunction) -> type[Settings]:
    own: dict[str, Any] = dict.fromkeys(function.space)  # also those that only **options takes
    own |= {one.name: one.default for one in function.parameters if one.name not in OFFERED}
    fields: dict[str, Any] = {
        name: (Any, ... if default is REQUIRED else default) for name, default in own.items()
    }

    def check(cls: type[Settings], values: Any) -> Any:
        for problem in _problems(function, own, values):
            raise ValueError(f"{function.place}: {problem}")
        return values

    before: Any = classmethod(check)
    validators = {"check": model_validator(mode="before")(before)}
    config = ConfigDict(extra="allow") if function.takes_any else ConfigDict(extra="forbid")
    base = type("OwnSettings", (OwnSettings,), {"model_config": config})
    return create_model(function.function, __base__=base, __validators__=validators, **fields)


def _problems(function: OwnFunction, own: dict[str, Any], values: dict[str, Any]) -> list[str]:
    """What is wrong with some settings."""
    name = function.function
    problems = [
        f"{name} is given {setting} by Feedbench; it cannot be set"
        for setting in values
        if setting in OFFERED
    ]
    if not function.takes_any:
        problems += [
            f"{name} has no parameter {setting!r}; {alternatives(setting, own)}"
            for setting in values
            if setting not in own
        ]
    return problems + [
        f"{name} needs {setting}; give it by --set {name}.{setting}=VALUE"
        for setting, default in own.items()
        if default is REQUIRED and setting not in values
    ]
