"""From a name to the file that defines a function; nothing is imported."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, PathFinder
from importlib.metadata import entry_points
from pathlib import Path
from typing import NamedTuple

from feedbench.loaders.errors import UnknownLoader, printable
from feedbench.loaders.validation import alternatives

LOADER_GROUP = "feedbench.loaders"  # of the entry points of installed packages
_FUNCTION = re.compile(r"[^\W\d]\w*")
_MODULE = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*")


class Place(NamedTuple):
    """Where a function is to be found.

    Attributes:
        folder: must be first in `sys.path` to import the module.
    """

    file: Path
    module: str
    folder: Path
    function: str


def is_own(name: str) -> bool:
    """Whether a name is one of a function: `FILE.py:FUNCTION` or `PACKAGE.MODULE:FUNCTION`."""
    where, colon, _ = name.rpartition(":")
    return bool(colon) and (where.endswith(".py") or _MODULE.fullmatch(where) is not None)


def short_name(name: str) -> str:
    """The function's name, which stands for an own loader in `--set`; other names as they are."""
    return name.rpartition(":")[2] if is_own(name) else name


def installed(group: str = LOADER_GROUP) -> dict[str, str]:
    """The entry points of installed packages: `PACKAGE.MODULE:FUNCTION` by name."""
    points = entry_points(group=group)
    return {point.name: point.value.partition("[")[0].strip() for point in points}


def find_place(name: str) -> Place:
    """The file of a function, by the path of the file or by the name of its module.

    Raises:
        UnknownLoader: there is no such file or module, or its path is not UTF-8.
    """
    where, _, function = name.rpartition(":")
    if not _FUNCTION.fullmatch(function):
        raise UnknownLoader(f"{name}: {function!r} is not the name of a function")
    place = _in_file(where, function) if where.endswith(".py") else _in_module(where, function)
    check_utf8(place.file)
    return place


def check_utf8(file: Path) -> None:
    """Check that records can name a file.

    Raises:
        UnknownLoader: its path is not UTF-8.
    """
    try:
        str(file).encode()
    except UnicodeEncodeError as error:
        raise UnknownLoader(
            f"{printable(str(file))}: its path is not UTF-8, and records are; move it to a folder "
            "with another name"
        ) from error


def _in_file(where: str, function: str) -> Place:
    path = Path(os.path.normpath(Path(where).absolute()))
    if not path.is_file():
        files = sorted(one.name for one in path.parent.glob("*.py"))
        there = f" in {path.parent}; {alternatives(path.name, files)}" if files else ""
        raise UnknownLoader(f"{where}: no such file{there}")
    if "." in path.stem:
        raise UnknownLoader(
            f"{where}: Python cannot import a file with a dot in its name; rename it"
        )
    return Place(path, path.stem, path.parent, function)


def _in_module(module: str, function: str) -> Place:
    spec = _spec_of(module)
    if spec is None or not spec.origin or not spec.origin.endswith(".py"):
        raise UnknownLoader(
            f"{module}:{function}: no module {module!r}, neither in the working directory nor "
            "among the installed ones; a file is named with its .py, such as pipeline.py:"
            f"{function}"
        )
    file = Path(spec.origin).absolute()
    # The folder of the outermost package: as many levels up as the module has parents.
    levels = module.count(".") + (file.name == "__init__.py")
    return Place(file, module, file.parents[levels], function)


def _spec_of(module: str) -> ModuleSpec | None:
    """Find a module in the working directory or in `sys.path`, without importing its parents."""
    search: Sequence[str] | None = [str(Path.cwd()), *sys.path]
    spec = None
    names = module.split(".")
    for depth in range(1, len(names) + 1):
        spec = _found(".".join(names[:depth]), search)
        if spec is None:
            return None
        search = spec.submodule_search_locations
        if search is None and depth < len(names):
            return None
    return spec


def _found(name: str, search: Sequence[str] | None) -> ModuleSpec | None:
    spec = PathFinder.find_spec(name, search)
    if spec is not None or "." in name:
        return spec
    # An editable installation has a finder of its own.
    finders = [finder for finder in sys.meta_path if finder is not PathFinder]
    return next(filter(None, (finder.find_spec(name, None) for finder in finders)), None)
