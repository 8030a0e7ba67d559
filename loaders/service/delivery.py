"""The batches of a request, made by a service, segment after segment."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

from feedbench.loaders.contract import Batch
from feedbench.loaders.order import Order, Rows
from feedbench.loaders.service.filling import Filling
from feedbench.loaders.service.health import ServiceError
from feedbench.loaders.service.job import Job
from feedbench.loaders.service.ledger import Ledger
from feedbench.loaders.service.reading import Manner, Reading, Watch
from feedbench.loaders.service.segments import Segment, segments

_MOST_EMPTY = 2  # segments of a shared job in a row that give this trainer nothing
_AHEAD = 8  # batches left of a segment when the job of the next one is started

OpenJob = Callable[[Order, Segment, Rows | None, bool, threading.Event], Job]


class Delivery:
    """Reads the segments of an order one after the other, and starts each one's job ahead."""

    def __init__(
        self, filling: Filling, open_job: OpenJob, manner: Manner, watch: Watch, ledger: Ledger
    ) -> None:
        self._filling = filling
        self._open_job = open_job
        self._manner = manner
        self._watch = watch
        self._ledger = ledger
        self._segments = segments(filling.order)
        self._open: list[Reading] = []
        self._empty = 0
        self._gave_any = False

    def batches(self) -> Iterator[Batch]:
        """The batches.

        Raises:
            LoaderError: an image cannot be read and may not be dropped, or no batch comes any more.
        """
        self._open_next()
        while self._open:
            reading = self._open[0]
            for element in reading.elements():
                if reading.left <= _AHEAD and len(self._open) == 1 and not self._manner.repeated:
                    self._open_next()
                batch = self._filling.batch(element)
                self._ledger.rows.add(batch.rows)
                yield batch
            if len(self._open) == 1:
                self._open_next()
            self._check_share(reading)
            self._open.pop(0).close()

    def close(self) -> None:
        """End all jobs."""
        while self._open:
            self._open.pop().close()

    def _check_share(self, reading: Reading) -> None:
        """Check that a job that is shared still gives batches.

        Raises:
            ServiceError: its last two segments gave none.
        """
        self._gave_any = self._gave_any or reading.gave_any
        self._empty = 0 if reading.gave_any else self._empty + 1
        is_over = len(self._open) == 1 and self._filling.order.end is not None
        is_empty = self._empty >= _MOST_EMPTY or (is_over and not self._gave_any)
        if self._manner.shared and is_empty:
            raise ServiceError(
                "job_name: the job of this name has given all of its batches to other trainers, "
                "or to an earlier run; give another job_name"
            )

    def _open_next(self) -> None:
        segment = next(self._segments, None)
        if segment is None:
            return
        news = threading.Event()

        def open_job(segment: Segment, steps: Rows | None, protected: bool) -> Job:
            return self._open_job(self._filling.order, segment, steps, protected, news)

        reading = Reading(segment, open_job, news, self._manner, self._watch, self._ledger)
        self._open.append(reading)
