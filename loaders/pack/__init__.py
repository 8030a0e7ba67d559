"""Packs: images prepared once and read again by `packed` and `turbo`."""

from feedbench.loaders.pack.about import is_whole
from feedbench.loaders.pack.build import Packing, check_packing, corrupt_positions, fill, opened
from feedbench.loaders.pack.pack import Pack

__all__ = ["Pack", "Packing", "check_packing", "corrupt_positions", "fill", "is_whole", "opened"]
