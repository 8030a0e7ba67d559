"""Python source from small pieces: only the lines and imports that are needed."""

from __future__ import annotations

import re
from typing import Any

_IMPORTS = {  # in the order of isort; the standard library comes first
    "atexit": "import atexit",
    "csv": "import csv",
    "functools": "import functools",
    "math": "import math",
    "os": "import os",
    "shutil": "import shutil",
    "sys": "import sys",
    "tempfile": "import tempfile",
    "time": "import time",
    "Path": "from pathlib import Path",
}
_LIBRARIES = {
    "keras": "import keras",
    "np": "import numpy as np",
    "tf": "import tensorflow as tf",
    "Image": "from PIL import Image",
}


def lines(*parts: str | bool | None) -> str:
    """The pieces that are there, one below the other."""
    return "\n".join(part for part in parts if isinstance(part, str) and part)


def indented(text: str, levels: int = 1) -> str:
    """A piece, further to the right."""
    return "\n".join("    " * levels + line if line else line for line in text.split("\n"))


def module(constants: str, *functions: str | None, imports: str = "") -> str:
    """The body of a module: the imports that its code needs, constants, functions.

    Args:
        imports: of other packages.
    """
    code = [constants, *filter(None, functions)]
    used = {name for name in (*_IMPORTS, *_LIBRARIES) if _uses("\n".join(code), name)}
    groups = [
        "\n".join(line for name, line in group.items() if name in used)
        for group in (_IMPORTS, _LIBRARIES)
    ]
    head = "\n\n".join(group for group in (*groups, imports, constants) if group)
    return "\n\n\n".join([head, *filter(None, functions)]) + "\n"


def number(value: float) -> str:
    """A number as people write it: 1 rather than 1.0."""
    return repr(int(value)) if value == int(value) else repr(float(value))


def plain(value: Any) -> str:
    """A constant as the formatter writes it, in double quotes."""
    if isinstance(value, str) and value.isprintable() and not {'"', "\\"} & set(value):
        return f'"{value}"'
    return repr(value)


def wrapped(opening: str, items: list[str], closing: str, *, width: int = 88) -> str:
    """A call or a display on one line if it fits, else with one item per line."""
    flat = opening + ", ".join(items) + closing
    if len(flat) <= width and "\n" not in flat:
        return flat
    inner = "".join(f"{indented(item)},\n" for item in items)
    return f"{opening}\n{inner}{closing}"


def _uses(code: str, name: str) -> bool:
    return re.search(rf"(?<![\w.\"]){name}[.(]", code) is not None
