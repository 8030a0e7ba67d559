"""Own functions of the user: found and read without running them, then called and adapted."""

from feedbench.loaders.own.call import called, defined_by
from feedbench.loaders.own.errors import OwnError, raised_by
from feedbench.loaders.own.find import check_utf8, find_place
from feedbench.loaders.own.function import REQUIRED, OwnFunction, shown
from feedbench.loaders.own.none import with_none, without_none
from feedbench.loaders.own.signature import read_function
from feedbench.loaders.own.waiting import Waiting, waited_for

__all__ = [
    "REQUIRED",
    "OwnError",
    "OwnFunction",
    "Waiting",
    "called",
    "check_utf8",
    "defined_by",
    "find_place",
    "raised_by",
    "read_function",
    "shown",
    "waited_for",
    "with_none",
    "without_none",
]
