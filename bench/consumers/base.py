"""The interface of a consumer, and the consumer that discards its batches."""

from __future__ import annotations

from typing import Protocol

from feedbench.loaders import Batch


class Consumer(Protocol):
    """Takes batches."""

    def step(self, batch: Batch) -> None:
        """Take one batch; return as soon as the host may prepare the next."""

    def finish(self) -> None:
        """Wait until the device has finished all steps."""


class Drain:
    """Discards batches at once, to measure a loader alone."""

    def step(self, batch: Batch) -> None:
        """Discard the batch."""

    def finish(self) -> None:
        """Return at once: nothing is queued."""
