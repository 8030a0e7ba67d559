"""The parts of a service that a diagnosis measures alone: what its workers make, and the network.

All workers take part in both, each with all steps: how many of these come is all that counts.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from functools import cached_property
from time import perf_counter, sleep
from typing import TYPE_CHECKING

from feedbench.loaders.images.pillow import tensorflow_message
from feedbench.loaders.order import Order
from feedbench.loaders.service.connection import Connection
from feedbench.loaders.service.graph import Graph
from feedbench.loaders.service.health import ServiceError
from feedbench.loaders.service.job import Job
from feedbench.loaders.service.segments import segments
from feedbench.loaders.service.traffic import Traffic, traffic
from feedbench.loaders.stages.stage import HELD_BYTES, Run, ServicePart, Timed
from feedbench.loaders.tf_rows import Element

if TYPE_CHECKING:
    import tensorflow as tf

    from feedbench.loaders.tf_data_service import TfDataService

_MODE = "off"  # or workers would wait for each other at the end of each pass
_HELD = 4  # batches that a worker sends over and over
_AHEAD = 2  # batches that a worker makes ready to be sent
_LEAST = 4  # batches that are timed
_SLICE_S = 0.25  # of waiting, so that no time counts for which the process was stopped
_REST_S = 0.5  # for the workers to fill the buffers of other jobs, and to be free for this one


class Parts:
    """The service behind some settings, which is found or started when a part is prepared."""

    def __init__(
        self, make_graph: Callable[[], Graph], order: Order, settings: TfDataService
    ) -> None:
        self._make_graph = make_graph
        self._order = order
        self._settings = settings
        self._jobs: list[Job] = []
        self._elements: dict[ServicePart, Iterator[Element]] = {}

    def workers(self, cores: int) -> Run:
        """A run in which the workers make batches, and send one value of each."""
        return self._run("service workers", lambda: self._batches().map(_one_value).repeat())

    def network(self, cores: int) -> Run:
        """A run in which the workers send batches that they made before."""

        def held() -> tf.data.Dataset:
            return self._batches().take(self._held).cache().repeat().prefetch(_AHEAD)

        return self._run("network", held)

    def count(self) -> int:
        """The number of workers that run."""
        return self._connection.workers()

    def use_up(self, part: ServicePart) -> None:
        """Take the batches of a part that were made while another ran."""
        sleep(_REST_S)
        for _ in range(self._connection.ready()):
            next(self._elements[part])

    def close(self) -> None:
        """End the jobs, and the servers that were started for them."""
        while self._jobs:
            self._jobs.pop().close()
        if "_connection" in vars(self):
            self._connection.close()

    @cached_property
    def _graph(self) -> Graph:
        return self._make_graph()

    @cached_property
    def _connection(self) -> Connection:
        return Connection(self._settings)

    @property
    def _held(self) -> int:
        return max(1, min(_HELD, HELD_BYTES // (self._graph.image_bytes * self._order.batch_size)))

    def _batches(self) -> tf.data.Dataset:
        steps = next(segments(self._order)).steps
        return self._graph.dataset(self._order, steps, protected=False)

    def _run(self, part: ServicePart, make: Callable[[], tf.data.Dataset]) -> Run:
        dataset = make()  # here, where an error is seen
        news, connection = threading.Event(), self._connection
        job = Job(lambda: connection.distributed(dataset, _MODE), news)
        self._jobs.append(job)
        elements = self._elements[part] = _elements(job, news, self._settings.timeout)
        return lambda seconds: _timed(elements, seconds)


def _timed(elements: Iterator[Element], seconds: float) -> Timed:
    """Count the images of the elements that arrive, and what crosses the network meanwhile."""
    before, begin = traffic(), perf_counter()
    images = batches = 0
    while batches < _LEAST or perf_counter() - begin < seconds:
        images += int(next(elements)["row"].shape[0])
        batches += 1
    return Timed(images, perf_counter() - begin, _since(before))


def _since(before: Traffic | None) -> Traffic | None:
    now = traffic()
    return None if before is None or now is None else now.since(before)


def _elements(job: Job, news: threading.Event, timeout_s: float) -> Iterator[Element]:
    """What a job gives.

    Raises:
        ServiceError: it fails, or gives nothing for a while.
    """
    silent_s = 0.0
    while True:
        news.clear()
        if (element := job.take()) is not None:
            silent_s = 0.0
            yield element
        elif job.error is not None:
            raise ServiceError(f"tf.data service: {tensorflow_message(job.error)}") from job.error
        elif not news.wait(_SLICE_S):
            silent_s += _SLICE_S
            if silent_s >= timeout_s:
                raise ServiceError(f"no batch from the tf.data service for {timeout_s:g} s")


def _one_value(batch: Element) -> Element:
    """The rows of a batch, and one value of its images, so that it must be made."""
    return {"row": batch["row"], "value": batch["image"][0, 0, 0, 0]}
