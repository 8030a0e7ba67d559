"""The trainer: MobileNetV2 from scratch, one step at a time, the same in bench and training."""

from feedbench.trainer.recipe import Recipe

__all__ = ["Recipe"]
