"""The names of splits in folders, CSV cells and names of shards."""

from __future__ import annotations

SPLIT_NAMES = {"train": 0, "training": 0, "validation": 1, "valid": 1, "val": 1, "test": 2}
UNKNOWN_SPLIT = -1
