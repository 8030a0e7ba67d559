"""Datasets prepared once: resized arrays, or small JPEGs."""

from feedbench.loaders.pack.build import Packing, fill, opened, unsound
from feedbench.loaders.pack.pack import Pack, check_about, is_whole

__all__ = ["Pack", "Packing", "check_about", "fill", "is_whole", "opened", "unsound"]
