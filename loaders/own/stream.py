"""A user's function as a stream of batches, epoch after epoch."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from itertools import islice
from typing import Any

import numpy as np

from feedbench.loaders.contract import Batch, Request, Settings, Stream
from feedbench.loaders.manifest import SPLITS
from feedbench.loaders.own.adapt import Source, adapted
from feedbench.loaders.own.batches import BatchReader
from feedbench.loaders.own.call import called
from feedbench.loaders.own.coverage import Coverage
from feedbench.loaders.own.errors import OwnError, raised_by
from feedbench.loaders.own.function import OFFERED, OwnFunction
from feedbench.loaders.own.missing import ReportDropped
from feedbench.loaders.own.settings import given
from feedbench.loaders.own.waiting import waiting_for


def open_stream(function: OwnFunction, request: Request, settings: Settings) -> Stream:
    """Call the function, and open what it returned.

    Raises:
        OwnError: it fails, or returns something that gives no batches.
    """
    epochs = _Epochs(function, request, settings)
    skipped = request.order.start_step - epochs.first_step
    batches = islice(epochs.batches(), skipped, None)
    return Stream(batches, epochs.close, request.faults, coverage=epochs.coverage)


def offered(request: Request, start_step: int, report_dropped: ReportDropped) -> dict[str, Any]:
    """The values that a function may ask for."""
    manifest, spec = request.manifest, request.spec
    splits = np.unique(manifest.splits)
    return dict(
        zip(
            OFFERED,
            (
                manifest.source or manifest.root,
                SPLITS[splits[0] if len(splits) else 0],
                spec.batch_size,
                spec.image_size,
                list(manifest.classes),
                spec.seed,
                request.order.epochs,
                manifest,
                spec,
                start_step,
                report_dropped,
            ),
            strict=True,
        )
    )


class _Epochs:
    """What a function returned, started again whenever it ends.

    Attributes:
        first_step: step of its first batch: 0, unless the function can start later.
    """

    def __init__(self, function: OwnFunction, request: Request, settings: Settings) -> None:
        self._function = function
        self._request = request
        self._settings = settings
        self.first_step = _first_step(function, request)
        self._reader = BatchReader(function, len(request.manifest), self.first_step)
        self._report = ReportDropped(function, request.manifest, request.faults)
        self._source = self._new_source()
        self._is_fresh = True

    def batches(self) -> Iterator[Batch]:
        """Batches without an end, or of as many epochs as were asked for.

        Raises:
            OwnError: the user's code fails, or its batches cannot be used.
        """
        epochs = self._request.order.epochs
        done = 0
        while epochs is None or done < epochs:
            count = 0
            for batch in self._epoch():
                count += 1
                yield batch
            if not count:
                self._refuse_empty(done)
            done += 1

    def coverage(self) -> Coverage | None:
        """Whether each row came once per epoch; None if the batches do not say."""
        return self._reader.rows.coverage(self._request.faults.dropped)

    def close(self) -> None:
        """End the threads and processes behind the batches, whatever the user's code does then."""
        with suppress(Exception):
            self._source.close()

    def _epoch(self) -> Iterator[Batch]:
        if not self._is_fresh and (self._source.is_spent or self._function.can_start_later):
            self.close()
            self._source = self._new_source()
        self._is_fresh = False
        source: Iterator[Any] | None = None
        while True:
            when = f"batch {self._reader.count + 1}"
            try:
                with waiting_for(self._function, when):
                    source = self._source.epoch() if source is None else source
                    item = next(source)
            except StopIteration:
                self._report.check()
                return
            except (Exception, SystemExit) as error:
                self._report.check()
                raise raised_by(self._function, error, when) from error
            self._report.check()
            yield self._reader.batch(item, fixed_size=self._source.fixed_size)

    def _new_source(self) -> Source:
        with waiting_for(self._function, "the call of the function"):
            step = self.first_step + self._reader.count
            values = offered(self._request, step, self._report)
            returned = called(self._function, values, given(self._settings))
            return adapted(self._function, returned)

    def _refuse_empty(self, epoch: int) -> None:
        function = self._function
        after = f" after {self._reader.count} batches" if epoch else ""
        raise OwnError(
            f"{function.place}: {function.function} gave no batch{after}; expected at least one of "
            "(images, labels), and an iterable that can be iterated again"
        )


def _first_step(function: OwnFunction, request: Request) -> int:
    """Where the function is to start: of counted epochs, only reading tells where one ends."""
    order = request.order
    return order.start_step if function.can_start_later and order.epochs is None else 0
