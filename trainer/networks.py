"""The networks of keras.applications; which of them a recipe and a batch spec fit."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterable, Sequence
from difflib import get_close_matches
from typing import Any

from feedbench.trainer.errors import RecipeError
from feedbench.trainer.network_source import named_networks, network_facts
from feedbench.trainer.recipe import Recipe

Channels = Sequence[float]
_IDENTITY = ((1.0, 1.0, 1.0), (0.0, 0.0, 0.0))  # scale and offset of networks with a range inside


def check_network(recipe: Recipe, image_size: int, scale: Channels, offset: Channels) -> None:
    """Refuse what keras.applications would refuse, as far as its source says it.

    Args:
        image_size: height and width in pixels.
        scale: of the value range, per channel.
        offset: of the value range, per channel.

    Raises:
        RecipeError: it has no such network, or that network does not take this.
    """
    name = recipe.network
    names = constructors() if "keras" in sys.modules else named_networks()
    if names and name not in names:
        raise unknown_network(name, names)
    facts = network_facts(name)
    if facts is None:
        return
    if not facts.has_alpha and recipe.alpha != 1:
        raise no_alpha(recipe)
    if facts.least_side is not None and image_size < facts.least_side:
        raise RecipeError(
            f"image_size: {name} takes images of at least {facts.least_side} px, got {image_size}; "
            f"use --image-size {facts.least_side} or more"
        )
    if facts.has_range:
        check_identity(recipe, scale, offset)


def check_identity(recipe: Recipe, scale: Channels, offset: Channels) -> None:
    """Refuse a value range for a network that has one inside.

    Raises:
        RecipeError: the network expects pixels of 0 to 255.
    """
    if (tuple(scale), tuple(offset)) != _IDENTITY:
        raise RecipeError(
            f"network {recipe.network} has its own value range: it needs value_range [0, 255] in "
            f"the batch spec, got one that starts at {offset[0]:g}; use --value-range 0,255"
        )


def no_alpha(recipe: Recipe) -> RecipeError:
    """Return the error of a width multiplier for a network without one."""
    return RecipeError(f"alpha: {recipe.network} has none, got {recipe.alpha}; leave it out")


def constructors() -> dict[str, Callable[..., Any]]:
    """Return the constructors by name."""
    import keras

    return {
        key: value for key, value in vars(keras.applications).items() if inspect.isfunction(value)
    }


def unknown_network(name: str, known: Iterable[str]) -> RecipeError:
    """Return the error of a name that none of the known networks has."""
    names = sorted(known)
    near = get_close_matches(name, names, 1)
    meant = f"did you mean {near[0]!r}? There are" if near else "there are"
    return RecipeError(f"network: keras.applications has no {name!r}; {meant} {', '.join(names)}")
