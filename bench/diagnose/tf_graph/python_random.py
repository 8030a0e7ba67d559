"""Whether a user's Python function draws random numbers, told from its code without a call."""

from __future__ import annotations

import inspect
import random
from collections.abc import Iterator
from dis import Instruction, get_instructions
from itertools import pairwise
from types import CodeType, FunctionType, MethodType
from typing import Any

import numpy as np

_DEPTH = 5  # of functions that call one another
_GENERATORS = (np.random.Generator, np.random.RandomState, random.Random)
_MODULES = ("random", "numpy.random")


def draws(function: Any, depth: int = _DEPTH) -> bool:
    """Whether a function, or one of its file that it calls, uses NumPy's or Python's `random`."""
    while isinstance(function, MethodType):
        function = function.__func__
    function = inspect.unwrap(function) if callable(function) else function
    if not isinstance(function, FunctionType) or not depth:
        return False
    used = [one for code in _codes(function.__code__) for one in get_instructions(code)]
    return _uses_numpy(function, used) or any(
        _is_random(value) or _draws_beside(value, function, depth - 1)
        for value in _values(function, used)
    )


def _codes(code: CodeType) -> Iterator[CodeType]:
    """A function's code, and that of the functions inside it."""
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _codes(constant)


def _uses_numpy(function: FunctionType, used: list[Instruction]) -> bool:
    """Whether a function uses `np.random` or `default_rng`; other libraries have a `random` too."""
    return any(
        after.argval == "default_rng"
        or (after.argval == "random" and function.__globals__.get(before.argval) is np)
        for before, after in pairwise(used)
    )


def _values(function: FunctionType, used: list[Instruction]) -> list[Any]:
    """The globals and the variables of outer functions that a function uses."""
    names = {one.argval for one in used if one.opname == "LOAD_GLOBAL"}
    found = [function.__globals__[name] for name in names if name in function.__globals__]
    return [*found, *inspect.getclosurevars(function).nonlocals.values()]


def _is_random(value: Any) -> bool:
    """Whether a value is a generator, a module or a function of random numbers."""
    owner = getattr(value, "__self__", value)
    return isinstance(owner, _GENERATORS) or getattr(value, "__name__", "") in _MODULES


def _draws_beside(value: Any, function: FunctionType, depth: int) -> bool:
    """Whether another function of the same file draws."""
    return getattr(value, "__module__", None) == function.__module__ and draws(value, depth)
