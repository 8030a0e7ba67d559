"""From the name of a user's function to a loader with the function's own settings."""

from __future__ import annotations

from functools import lru_cache

from feedbench.loaders.contract import Loader
from feedbench.loaders.own.find import Place, find_place
from feedbench.loaders.own.settings import settings_of
from feedbench.loaders.own.signature import read_function
from feedbench.loaders.own.stream import open_stream


def own_loader(name: str, where: str | None = None) -> Loader:
    """The loader that calls a user's function; the function is read, not run.

    Args:
        name: as the user gave it.
        where: the place of the function if `name` does not say it.

    Raises:
        LoaderError: there is no such function, or its file is not valid.
    """
    place = find_place(where or name)
    stat = place.file.stat()
    return _loader(name, place, (stat.st_mtime_ns, stat.st_size))


@lru_cache(maxsize=64)
def _loader(name: str, place: Place, version: tuple[int, int]) -> Loader:
    """The loader of a file's version: it is asked for often, and its file may be removed."""
    function = read_function(name, place)
    return Loader(
        name=name,
        summary=f"own function {function.function} in {function.file}",
        settings=settings_of(function),
        open=lambda request, settings: open_stream(function, request, settings),
        readable_by=(),
        follows_order=False,
        space=function.space,
        own=function,
    )
