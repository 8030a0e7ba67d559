"""Packs: images prepared once and read again by `packed` and `turbo`."""

from feedbench.loaders.pack.build import Packing, corrupt_positions, fill, opened
from feedbench.loaders.pack.pack import Pack, check_about, is_whole

__all__ = ["Pack", "Packing", "check_about", "corrupt_positions", "fill", "is_whole", "opened"]
