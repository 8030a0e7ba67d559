"""All meters that run beside a timed block."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import Any, Self

from feedbench.bench.meters.gpu import GpuMeter
from feedbench.bench.meters.host import HostMeter
from feedbench.bench.record import Block, TimedBlock


class Meters:
    """The GPUs' and the machine's, inside a `with`.

    They run in the process that waits for the block, not in the one that is timed.
    """

    def __init__(self, gpus: Sequence[tuple[int, Any]]) -> None:
        """Meter the machine and the GPUs of `find_gpus`."""
        self._gpus = GpuMeter(gpus)
        self._host = HostMeter()
        self._open = ExitStack()

    def __enter__(self) -> Self:
        self._open.enter_context(self._gpus)
        self._open.enter_context(self._host)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._open.close()

    def complete(self, timed: TimedBlock, round_index: int) -> Block:
        """The block with what was read while it ran; a block without a time gets no readings."""
        readings = {}
        if timed.began is not None:
            readings = {"gpus": self._gpus.readings(timed), "host": self._host.readings(timed)}
        return Block(**dict(timed), round=round_index, **readings)
