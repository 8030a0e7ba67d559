"""Own functions of the user: found and read without running them, then called and adapted."""

from feedbench.loaders.own.call import called
from feedbench.loaders.own.errors import OwnError, raised_by
from feedbench.loaders.own.find import find_place
from feedbench.loaders.own.function import REQUIRED, OwnFunction, shown
from feedbench.loaders.own.signature import read_function

__all__ = [
    "REQUIRED",
    "OwnError",
    "OwnFunction",
    "called",
    "find_place",
    "raised_by",
    "read_function",
    "shown",
]
