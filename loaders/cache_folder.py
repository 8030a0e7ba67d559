"""The folder of what was found out about a user's data and can be found out again."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs


def cache_folder() -> Path:
    """`FEEDBENCH_CACHE`, or the user's cache folder."""
    return Path(os.environ.get("FEEDBENCH_CACHE") or platformdirs.user_cache_path("feedbench"))
