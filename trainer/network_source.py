"""What the source of keras.applications says of a network, without importing it."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

_MODULES = "keras.src.applications"
_LEAST_SIDE = re.compile(r"\bmin_size=(\d+)|\brows < (\d+)")
_RANGE_INSIDE = re.compile(r"\blayers\.(?:Rescaling|Normalization)\(")


@dataclass(frozen=True)
class NetworkFacts:
    """What a constructor of keras.applications takes.

    Attributes:
        has_alpha: whether it has a width multiplier.
        least_side: the smallest image height and width in pixels; None if the source has none.
        has_range: whether the network scales pixels of 0 to 255 itself, whatever is asked for.
    """

    has_alpha: bool
    least_side: int | None
    has_range: bool


def named_networks() -> list[str]:
    """Return the names in the source of keras.applications; none if it has another form."""
    return list(_modules())


def network_facts(name: str) -> NetworkFacts | None:
    """Return what the source says of a network; None if it is not found there."""
    module = _modules().get(name)
    text = "" if module is None else _text_of(module)
    parameters = _parameters(text, name)
    if parameters is None:
        return None
    builders = [text, *map(_text_of, _imported_modules(text))]
    sides = [int(a or b) for each in builders for a, b in _LEAST_SIDE.findall(each)]
    can_leave_out = "include_preprocessing" in parameters
    return NetworkFacts(
        has_alpha="alpha" in parameters,
        least_side=max(sides, default=None),
        has_range=not can_leave_out and _RANGE_INSIDE.search(text) is not None,
    )


def _modules() -> dict[str, str]:
    """Return the name of each network's module, such as `resnet` for `ResNet50`."""
    text = _read("applications/__init__.py")
    return {
        each.name: node.module.removeprefix(f"{_MODULES}.")
        for node in _imports(text)
        if node.module is not None and node.module.startswith(f"{_MODULES}.")
        for each in node.names
    }


def _imported_modules(text: str) -> list[str]:
    """Return the modules that a network is built by, such as `resnet` for that of ResNet50V2."""
    return [
        each.name
        for node in _imports(text)
        if node.module == _MODULES
        for each in node.names
        if each.name != "imagenet_utils"
    ]


def _imports(text: str) -> list[ast.ImportFrom]:
    return [node for node in ast.parse(text).body if isinstance(node, ast.ImportFrom)]


def _parameters(text: str, function: str) -> set[str] | None:
    """Return the names of a function's parameters; None if there is no such function."""
    for node in ast.parse(text).body:
        if isinstance(node, ast.FunctionDef) and node.name == function:
            return {each.arg for each in (*node.args.args, *node.args.kwonlyargs)}
    return None


def _text_of(module: str) -> str:
    return _read(f"src/applications/{module}.py")


def _read(name: str) -> str:
    """Return a file of Keras; empty if there is none."""
    found = find_spec("keras")
    for folder in (found and found.submodule_search_locations) or ():
        path = Path(folder) / name
        if path.is_file():
            return path.read_text(encoding="utf-8")
    return ""
