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
    folder = platformdirs.user_cache_path("feedbench")
    if folder.parts[0] == "~":  # else it would be a folder of this name in the current one
        raise SourceError(
            f"user {os.getuid()} has no home folder: set FEEDBENCH_CACHE to a folder for what is "
            "known of files"
        )
    return folder
