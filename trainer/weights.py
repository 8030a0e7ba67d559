"""Weights to begin with."""

from __future__ import annotations

from typing import Any

from trainer.recipe import Recipe


def load_into(network: Any, recipe: Recipe, image_size: int) -> None:
    """Bring the weights that the recipe names into a fresh network, all but its head."""
