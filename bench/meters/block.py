"""All meters that run beside a timed block."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Self

from feedbench.bench.meters.gpu import GpuMeter, NumberedGpu
from feedbench.bench.meters.host import PERIOD_S, HostMeter
from feedbench.bench.record import Block, TimedBlock


class Meters:
    """Meters the machine and its GPUs inside a `with` block.

    In a bench they run in the process that waits for the block, not in the process that is timed.
    """

    def __init__(
        self,
        gpus: Sequence[NumberedGpu],
        host_period_s: float = PERIOD_S,
        is_needed: Callable[[], bool] = lambda: True,
    ) -> None:
        """Create the meters.

        Args:
            gpus: from `training_gpus`.
            host_period_s: seconds between two samples of the host; each costs about 1 ms.
            is_needed: the threads end when it returns False.
        """
        self._gpus = GpuMeter(gpus, is_needed=is_needed)
        self._host = HostMeter(host_period_s, is_needed)
        self._open = ExitStack()

    def __enter__(self) -> Self:
        self._open.enter_context(self._gpus)
        self._open.enter_context(self._host)
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def complete(self, timed: TimedBlock, round_index: int) -> Block:
        """Return the block with the readings taken during it; none if its start is unknown."""
        readings = {}
        if timed.began is not None:
            readings = {"gpus": self._gpus.readings(timed), "host": self._host.readings(timed)}
        return Block(**dict(timed), round=round_index, **readings)
