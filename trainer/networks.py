"""The networks of keras.applications; their names without the seconds that importing it takes."""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Callable, Iterable
from difflib import get_close_matches
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from feedbench.trainer.errors import RecipeError

_NAME = re.compile(r"\b([A-Z]\w+) as \1\b")


def check_network(name: str) -> None:
    """Refuse a network that keras.applications does not have, if its names are known.

    Raises:
        RecipeError: it is another name.
    """
    names = constructors() if "keras" in sys.modules else named_networks()
    if names and name not in names:
        raise unknown_network(name, names)


def constructors() -> dict[str, Callable[..., Any]]:
    """Return the constructors by name."""
    import keras

    return {
        key: value for key, value in vars(keras.applications).items() if inspect.isfunction(value)
    }


def named_networks() -> list[str]:
    """Return the names in the source of keras.applications; none if it has another form."""
    found = find_spec("keras")
    for folder in (found and found.submodule_search_locations) or ():
        path = Path(folder) / "applications" / "__init__.py"
        if path.is_file():
            return _NAME.findall(path.read_text(encoding="utf-8"))
    return []


def unknown_network(name: str, known: Iterable[str]) -> RecipeError:
    """Return the error of a name that none of the known networks has."""
    names = sorted(known)
    near = get_close_matches(name, names, 1)
    meant = f"did you mean {near[0]!r}? There are" if near else "there are"
    return RecipeError(f"network: keras.applications has no {name!r}; {meant} {', '.join(names)}")
