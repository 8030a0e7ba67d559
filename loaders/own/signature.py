"""A function's parameters and the `SPACE` of its file, read from the source without running it."""

from __future__ import annotations

import ast
import hashlib
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from feedbench.loaders.errors import SettingsError, SourceError, UnknownLoader
from feedbench.loaders.own.find import Place
from feedbench.loaders.own.function import OFFERED, REQUIRED, OwnFunction, Parameter, shown
from feedbench.loaders.validation import alternatives

SPACE = "SPACE"
_Function = ast.FunctionDef | ast.AsyncFunctionDef


def read_function(name: str, place: Place) -> OwnFunction:
    """Read the signature of a function, and the values that its file's `SPACE` has for it.

    Args:
        name: as the user gave it.

    Raises:
        LoaderError: the file cannot be read, has no such function, or its `SPACE` is not valid.
    """
    data, tree = _parsed(place.file)
    defined = _definition(tree, place)
    function = _callable(defined, place)
    parameters = _parameters(function.args, skip=isinstance(defined, ast.ClassDef))
    takes_any = function.args.kwarg is not None
    known = None if takes_any else {one.name for one in parameters}
    return OwnFunction(
        name=name,
        file=place.file,
        module=place.module,
        folder=place.folder,
        function=place.function,
        line=defined.lineno,
        digest=hashlib.sha256(data).hexdigest(),
        parameters=parameters,
        takes_any=takes_any,
        space=_space(tree, place, known),
    )


def _parsed(file: Path) -> tuple[bytes, ast.Module]:
    try:
        data = file.read_bytes()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the user's code: an import shows them
            return data, ast.parse(data, str(file))
    except SyntaxError as error:
        text = (error.text or "").strip()
        raise SourceError(
            f"{shown(file)}, line {error.lineno}: {error.msg}" + (f": {text}" if text else "")
        ) from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise SourceError(f"{shown(file)}: cannot be read: {reason}") from error


def _definition(tree: ast.Module, place: Place) -> _Function | ast.ClassDef:
    """The last definition of a name, as Python itself would see it."""
    found: dict[str, ast.stmt] = {}
    for statement in _statements(tree.body):
        for name in _names(statement):
            found[name] = statement
    defined = found.get(place.function)
    if isinstance(defined, _Function | ast.ClassDef):
        return defined
    where = shown(place.file)
    if isinstance(defined, ast.ImportFrom) and defined.module:
        module = "." * defined.level + defined.module
        raise UnknownLoader(
            f"{where}, line {defined.lineno}: {place.function} is imported from {module}; name "
            "that module, which defines it"
        )
    if defined is not None:
        raise UnknownLoader(
            f"{where}, line {defined.lineno}: {place.function} must be a function, written as "
            f"def {place.function}(...)"
        )
    functions = [name for name, one in found.items() if isinstance(one, _Function)]
    raise UnknownLoader(
        f"{where}: no function {place.function!r}; {alternatives(place.function, functions)}"
    )


def _statements(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """The statements of a module, also those inside `if`, `try` and `with`."""
    for statement in body:
        yield statement
        if isinstance(statement, _Function | ast.ClassDef):
            continue
        for part in ("body", "orelse", "handlers", "finalbody"):
            inner = getattr(statement, part, None)
            if isinstance(inner, list):
                yield from _statements(inner)


def _names(statement: ast.stmt) -> Iterator[str]:
    """The names that a statement defines at the level of the module."""
    if isinstance(statement, _Function | ast.ClassDef):
        yield statement.name
    elif isinstance(statement, ast.ImportFrom | ast.Import):
        yield from (one.asname or one.name for one in statement.names)
    elif isinstance(statement, ast.Assign | ast.AnnAssign):
        targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
        yield from (target.id for target in targets if isinstance(target, ast.Name))


def _callable(defined: _Function | ast.ClassDef, place: Place) -> _Function:
    """The function itself, or a class's `__init__`."""
    where = f"{shown(place.file)}, line {defined.lineno}"
    if isinstance(defined, ast.AsyncFunctionDef):
        raise UnknownLoader(f"{where}: {place.function} must not be async")
    if isinstance(defined, ast.FunctionDef):
        return defined
    for statement in defined.body:
        if isinstance(statement, ast.FunctionDef) and statement.name == "__init__":
            return statement
    raise UnknownLoader(
        f"{where}: class {place.function} has no __init__ of its own that says what it takes; name "
        "a function that returns one"
    )


def _parameters(arguments: ast.arguments, *, skip: bool) -> tuple[Parameter, ...]:
    """The parameters that can be given.

    Args:
        skip: leave out the first one, which is `self`.
    """
    by_place = [*arguments.posonlyargs, *arguments.args]
    missing = [None] * (len(by_place) - len(arguments.defaults))
    found = [
        Parameter(one.arg, _default(default), one in arguments.posonlyargs)
        for one, default in zip(by_place, [*missing, *arguments.defaults], strict=True)
    ]
    by_name = zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
    return (*found[skip:], *(Parameter(one.arg, _default(default)) for one, default in by_name))


def _default(node: ast.expr | None) -> Any:
    """The value of a default, or its text if only running the file could tell the value."""
    if node is None:
        return REQUIRED
    try:
        return ast.literal_eval(node)
    except ValueError:
        return ast.unparse(node)


def _space(tree: ast.Module, place: Place, known: set[str] | None) -> Mapping[str, tuple[Any, ...]]:
    """The values of `SPACE` for a function.

    Args:
        known: its parameters; None if it takes any.
    """
    for statement in reversed(tree.body):
        if SPACE in _names(statement) and isinstance(statement, ast.Assign | ast.AnnAssign):
            break
    else:
        return {}
    where = f"{shown(place.file)}, line {statement.lineno}: {SPACE}"
    values = _literal(statement.value, where)
    if values and all(isinstance(one, dict) for one in values.values()):
        values = values.get(place.function, {})
    for name, tried in values.items():
        if name in OFFERED:
            raise SettingsError(f"{where}: {name} is given by Feedbench; it cannot be searched")
        if not isinstance(tried, list | tuple) or not tried:
            raise SettingsError(f"{where}: {name} must have a list of values, got {tried!r}")
        if known is not None and name not in known:
            raise SettingsError(
                f"{where}: {place.function} has no parameter {name!r}; {alternatives(name, known)}"
            )
    return {name: tuple(tried) for name, tried in values.items()}


def _literal(node: ast.expr | None, where: str) -> dict[str, Any]:
    try:
        values = ast.literal_eval(node) if node is not None else None
    except ValueError:
        values = None
    if not isinstance(values, dict) or not all(isinstance(name, str) for name in values):
        raise SettingsError(
            f"{where} must be a literal dict, such as {{'workers': [2, 4, 8]}}: the file is read, "
            "not run"
        )
    return values
