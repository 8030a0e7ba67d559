"""The user's own line with another value of one argument, so that it can be copied."""

from __future__ import annotations

import ast
import builtins
from collections.abc import Iterator
from typing import NamedTuple

_BEFORE = ("", "_")  # a line of a chain begins with the dot of its method


class Argument(NamedTuple):
    """An argument of a call in a line.

    Attributes:
        name: of the argument.
        place: number of the arguments without a name that come before it.
    """

    name: str
    place: int


def with_argument(line: str, method: str, argument: Argument, value: str) -> str:
    """Return a line whose only call of a method has an argument with this value.

    Args:
        line: without its indentation.
        value: as it is written.

    Returns:
        Empty if the line alone is no code, or has no such call or several.
    """
    for before in _BEFORE:
        code = before + line
        if call := _only_call(code, method):
            return _edited(code.encode(), call, argument, value).decode()[len(before) :]
    return ""


def variable_in(line: str, method: str, argument: Argument) -> str:
    """Return the name of the variable that the only call of a method passes as an argument.

    Returns:
        Empty if it passes none, or if the line alone is no code.
    """
    for before in _BEFORE:
        if call := _only_call(before + line, method):
            given = _given(call, argument)
            return given.id if isinstance(given, ast.Name) else ""
    return ""


def _only_call(code: str, method: str) -> ast.Call | None:
    """The only call of a method; None if its arguments are not all written out."""
    calls = list(_calls(code, method))
    if len(calls) != 1:
        return None
    (call,) = calls
    is_starred = any(isinstance(one, ast.Starred) for one in call.args)
    return None if is_starred or any(one.arg is None for one in call.keywords) else call


def _calls(code: str, method: str) -> Iterator[ast.Call]:
    try:
        tree = ast.parse(code)
    except (SyntaxError, ValueError):
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and _called(node.func) == method:
            yield node


def _called(function: ast.expr) -> str:
    if isinstance(function, ast.Attribute):
        return function.attr
    if isinstance(function, ast.Name) and not hasattr(builtins, function.id):
        return function.id
    return ""


def _given(call: ast.Call, argument: Argument) -> ast.expr | None:
    by_name = (one.value for one in call.keywords if one.arg == argument.name)
    by_place = call.args[argument.place] if argument.place < len(call.args) else None
    return next(by_name, by_place)


def _edited(code: bytes, call: ast.Call, argument: Argument, value: str) -> bytes:
    """The code with the value; the offsets of a syntax tree count bytes."""
    given = _given(call, argument)
    if given is not None:
        return code[: given.col_offset] + value.encode() + code[given.end_col_offset :]
    assert call.end_col_offset is not None  # of a parsed call
    end = call.end_col_offset - 1
    inner = code[:end].rstrip()
    joint = b"" if inner.endswith(b"(") else b" " if inner.endswith(b",") else b", "
    return inner + joint + f"{argument.name}={value}".encode() + code[end:]
