"""Imports a user's file and calls its function, in the process of the trial."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from feedbench.loaders.own.errors import OwnError, is_users, raised_by
from feedbench.loaders.own.function import REQUIRED, OwnFunction, shown

Around = Callable[[Callable[[], Any]], Any]
_AROUND: ContextVar[Around | None] = ContextVar("around a call of a user's function", default=None)
_inserted: list[str] = []  # folders that were put before the others in `sys.path`


@contextmanager
def own_calls_within(around: Around) -> Iterator[None]:
    """Have `around` make each call of a user's function in this block, and return its result.

    A diagnosis records by it how a dataset is built, and puts another one in its place.
    """
    token = _AROUND.set(around)
    try:
        yield
    finally:
        _AROUND.reset(token)


def imported(function: OwnFunction) -> Callable[..., Any]:
    """Import the file of a function, as a script beside it would, and return the function.

    The file's folder becomes the first of `sys.path`, so that modules beside it are found, here and
    in processes that it starts.

    Raises:
        OwnError: the file fails, or another module has its name.
    """
    folder = str(function.folder)
    if sys.path[:1] != [folder]:
        sys.path.insert(0, folder)
        _inserted.append(folder)
    importlib.invalidate_caches()
    _check_name(function)
    try:
        with _as_script(function):
            module = importlib.import_module(function.module)
    except (Exception, SystemExit) as error:
        raise raised_by(function, error, "while the file was imported") from error
    found: Callable[..., Any] = getattr(module, function.function)
    return found


def defined_by(function: OwnFunction) -> dict[str, Any]:
    """Import the file of a function; return the classes and functions of its folder, by name.

    Of equal names in several modules, that in the function's file counts.

    Raises:
        OwnError: the file fails, or another module has its name.
    """
    imported(function)
    modules = [
        module
        for module in list(sys.modules.values())
        if (file := getattr(module, "__file__", None)) and is_users(function, file)
    ]
    modules.sort(key=lambda module: module.__name__ == function.module)
    return {
        name: value
        for module in modules
        for name, value in vars(module).items()
        if callable(value) and getattr(value, "__module__", None) == module.__name__
    }


def forget(function: OwnFunction) -> None:
    """Unload the modules of a function's folder, so that others of the same names can be imported.

    What was made by them still works, but can no longer be sent to another process.
    """
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if file and is_users(function, file):
            del sys.modules[name]
    while (folder := str(function.folder)) in _inserted:
        _inserted.remove(folder)
        if folder in sys.path:
            sys.path.remove(folder)


@contextmanager
def _as_script(function: OwnFunction) -> Iterator[None]:
    """Run code with the arguments of a script without any: it may read them as it is imported."""
    before, sys.argv = sys.argv, [str(function.file)]
    try:
        yield
    finally:
        sys.argv = before


def _check_name(function: OwnFunction) -> None:
    """Check that no other module has the name of the file, which Python would import instead."""
    loaded = sys.modules.get(function.module)
    file = getattr(loaded, "__file__", None)
    if loaded is not None and (file is None or Path(file).resolve() != function.file.resolve()):
        raise OwnError(
            f"{shown(function.file)}: Python has already loaded a module called "
            f"{function.module!r}{f' from {file}' if file else ''}; rename the file"
        )


def called(function: OwnFunction, offered: Mapping[str, Any], settings: Mapping[str, Any]) -> Any:
    """Call a function with those of the offered values that its signature names.

    Args:
        settings: what the user set.

    Raises:
        OwnError: it fails.
    """
    target = imported(function)
    given = {
        **{one.name: offered[one.name] for one in function.parameters if one.name in offered},
        **settings,
    }
    placed = [one for one in function.parameters if one.positional_only]
    by_place = []
    for one in placed:
        if one.name not in given and one.default is not REQUIRED:
            break
        by_place.append(given.pop(one.name))
    around = _AROUND.get() or (lambda call: call())
    try:
        with _as_script(function):
            return around(lambda: target(*by_place, **given))
    except (Exception, SystemExit) as error:
        raise raised_by(function, error, f"while {function.function} was called") from error
