"""The folder for cached facts about a user's data, which can be computed again."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs


def cache_folder() -> Path:
    """`FEEDBENCH_CACHE`, or the user's cache folder."""
    return Path(os.environ.get("FEEDBENCH_CACHE") or platformdirs.user_cache_path("feedbench"))
