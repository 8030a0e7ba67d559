"""The trainer: keras.applications networks, from scratch or fine-tuned, one step at a time."""

from feedbench.trainer.recipe import Recipe

__all__ = ["Recipe"]
