"""The rates of equal parts of an epoch."""

from __future__ import annotations


class Parts:
    """Divides an epoch into parts of as many images each, and notes the rate of each."""

    def __init__(self, count: int, images: int) -> None:
        """Begin an epoch.

        Args:
            count: number of parts.
            images: in the epoch.
        """
        self._count = count
        self._images = images
        self._done: list[float] = []
        self._last = (0, 0.0)

    def add(self, images: int, seconds: float) -> None:
        """Note how far the epoch has come; call it after each step.

        Args:
            images, seconds: of this epoch so far.
        """
        if self._count < 2 or images * self._count < self._images * (len(self._done) + 1):
            return
        before_images, before_s = self._last
        self._done.append((images - before_images) / (seconds - before_s))
        self._last = (images, seconds)

    @property
    def rates(self) -> tuple[float, ...]:
        """Images per second of each part; empty if the epoch is not divided."""
        return tuple(round(rate, 3) for rate in self._done)
