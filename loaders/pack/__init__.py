"""Packs: images prepared once and read again by `packed` and `turbo`; and shards for others."""

from feedbench.loaders.pack.about import is_whole
from feedbench.loaders.pack.build import Packing, check_packing, corrupt_positions, fill, opened
from feedbench.loaders.pack.pack import Pack
from feedbench.loaders.pack.sharding import (
    Sharding,
    ShardKind,
    are_complete,
    check_shards,
    write_shards,
)

__all__ = [
    "Pack",
    "Packing",
    "ShardKind",
    "Sharding",
    "are_complete",
    "check_packing",
    "check_shards",
    "corrupt_positions",
    "fill",
    "is_whole",
    "opened",
    "write_shards",
]
