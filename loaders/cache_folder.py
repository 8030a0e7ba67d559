"""The folder for cached facts about a user's data, which can be computed again."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs

from feedbench.loaders.errors import SourceError


def cache_folder() -> Path:
    """`FEEDBENCH_CACHE`, or the user's cache folder.

    Raises:
        SourceError: the user has no home folder, as may be in a container.
    """
    if named := os.environ.get("FEEDBENCH_CACHE"):
        return Path(named)
    try:
        folder = platformdirs.user_cache_path("feedbench")
    except RuntimeError:
        folder = Path("~")  # as earlier versions return
    if folder.parts[0] == "~":  # it would be a folder of this name in the current one
        raise SourceError(
            f"user {os.getuid()} has no home folder: set FEEDBENCH_CACHE to a folder for the "
            "results of scans"
        )
    return folder
