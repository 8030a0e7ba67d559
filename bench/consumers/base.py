"""What takes batches, and the consumer that does nothing with them."""

from __future__ import annotations

from typing import Protocol

from feedbench.loaders import Batch


class Consumer(Protocol):
    """What takes batches."""

    def step(self, batch: Batch) -> None:
        """Take one batch; return as soon as the host may prepare the next."""

    def finish(self) -> None:
        """Return when the device has done all that it was given."""


class Drain:
    """Takes batches and does nothing: the loader alone."""

    def step(self, batch: Batch) -> None:
        """Forget the batch."""

    def finish(self) -> None:
        """Nothing is under way."""
