"""Blocks of a loader fed by other machines, which work on while its process is stopped."""

from __future__ import annotations

from time import perf_counter, sleep
from typing import Any

from feedbench.bench.consumers.base import Consumer
from feedbench.bench.meters.process import tree_usage
from feedbench.loaders import Stream

_REST_S = 0.5  # for these machines to have filled the buffers of other trials, which then rest
_MOST_S = 10.0  # a consumer that is still busy then is the slower one, and the buffers stay full


def use_up(stream: Stream, consumer: Consumer) -> float:
    """Hand over the batches that were made meanwhile; return the CPU seconds that took.

    They would be counted in a block although they took none of its time.
    """
    ready = stream.ready()
    if not ready:
        return 0.0
    before = tree_usage()
    sleep(_REST_S)
    end = perf_counter() + _MOST_S
    while ready and perf_counter() < end:
        consumer.step(next(stream))
        ready -= 1
    consumer.finish()
    return tree_usage().since(before).cpu_s


class Crossing:
    """What crosses the network for a stream from now on."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._before = stream.traffic()

    def fields(self) -> dict[str, Any]:
        """Return it as fields of a block; empty if the network is not used, or it is unknown."""
        now = self._stream.traffic()
        if now is None or self._before is None:
            return {}
        crossed = now.since(self._before)
        return {"received_bytes": crossed.received, "sent_bytes": crossed.sent}
