"""Reads one segment from a service, each step once, whatever happens to workers and dispatcher."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from feedbench.loaders.errors import WorkerError
from feedbench.loaders.images.pillow import tensorflow_message
from feedbench.loaders.order import Rows
from feedbench.loaders.service.health import ServiceError
from feedbench.loaders.service.job import Job
from feedbench.loaders.service.ledger import Ledger
from feedbench.loaders.service.segments import Segment
from feedbench.loaders.tf_rows import Element

_SLICE_S = 0.25  # of waiting: a process that was stopped meanwhile has waited for one of them only
_PATIENCE_S = 5.0  # without a batch, after which those that are missing are asked for again
_PATIENCE_WITH_LOSS_S = 1.0  # the same if a worker is known to have ended
_LEAST_EARLY = 16  # batches that may wait for one before them
_OF_READY = 2  # times the batches that the workers hold: so far may one be ahead of another
_EARLY_BYTES = 2**30


@dataclass(frozen=True)
class Manner:
    """How the batches of a job are taken.

    Attributes:
        in_order: whether each is given at its place in the order, and once.
        shared: whether other trainers take some of them.
        repeated: whether each worker gives all of them.
        timeout_s: without a batch, after which the run ends.
        ready: batches that all workers together hold.
    """

    in_order: bool
    shared: bool
    repeated: bool
    timeout_s: float
    ready: int = 0

    def most_early(self, batch_bytes: int) -> int:
        """The number of batches that may wait for one before them."""
        most = max(_LEAST_EARLY, _OF_READY * self.ready)
        return max(2, min(most, _EARLY_BYTES // max(1, batch_bytes)))


class Watch(Protocol):
    """Knows what has become of the servers."""

    def ended(self) -> list[str]:
        """How each worker ended that did; empty if that is not known."""

    def lost(self) -> str:
        """Why no batch comes, as far as the servers say."""


class Reading:
    """The batches of one segment.

    Attributes:
        left: number of batches that have not come.
    """

    def __init__(
        self,
        segment: Segment,
        open_job: Callable[[Segment, Rows | None, bool], Job],
        news: threading.Event,
        manner: Manner,
        watch: Watch,
        ledger: Ledger,
    ) -> None:
        """Start the segment's job.

        Args:
            open_job: starts a job of a segment; of all steps, or of those that are missing; and
                with images that cannot be read blank, or ending the job.
            news: is set whenever a job has something to take.
        """
        self._segment = segment
        self._open_job = open_job
        self._news = news
        self._manner = manner
        self._watch = watch
        self._ledger = ledger
        self._missing = dict.fromkeys(segment.steps.tolist())
        self._early: dict[int, Element] = {}
        self._most_early = manner.most_early(0)
        self._last = -1  # the furthest batch that has come
        self._silent_s = self._asked_at_s = 0.0
        self._gave_any = False
        self._arrived = 0  # since the last job was started
        self._protected = manner.shared or manner.repeated
        self._jobs = [open_job(segment, None, self._protected)]
        self._of_repair: dict[Job, set[int]] = {}

    @property
    def left(self) -> int:
        """The number of batches that have not come."""
        return len(self._missing)

    @property
    def gave_any(self) -> bool:
        """Whether any batch has come."""
        return self._gave_any

    def elements(self) -> Iterator[Element]:
        """The batches, in order or as they come.

        Raises:
            LoaderError: no batch comes any more.
        """
        if not self._manner.in_order:
            yield from self._as_they_come()
            return
        for step in self._segment.steps.tolist():
            while step not in self._early:
                self._receive()
            yield self._early.pop(step)

    def close(self) -> None:
        """End the jobs."""
        for job in self._jobs:
            job.close()
        self._jobs.clear()

    def _as_they_come(self) -> Iterator[Element]:
        while not self._is_complete():
            self._receive()
            while self._early:
                yield self._early.pop(next(iter(self._early)))

    def _is_complete(self) -> bool:
        """Whether nothing more is expected."""
        if not (self._manner.shared or self._manner.repeated):
            return not self._missing
        if all(job.ended and job.error is None for job in self._jobs):
            return True
        # The task of a worker that is dead keeps its job from ending.
        is_all = self._manner.shared or not self._missing
        return is_all and bool(self._arrived) and self._silent_s >= self._patience_s

    def _receive(self) -> None:
        """Take what has arrived, or wait for it for a moment."""
        self._news.clear()
        for job in self._readable():
            if (element := job.take()) is not None:
                self._enter(element)
                return
            if job.error is not None:
                self._restart(job.error)
                return
        if all(job.ended for job in self._jobs):
            if not (self._manner.shared or self._manner.repeated):
                self._ask_for_the_rest()
            return
        if self._news.wait(_SLICE_S):
            return
        self._silent_s += _SLICE_S
        self._endure_silence()

    def _ask_for_the_rest(self) -> None:
        """Ask again for what no job has given that has ended.

        Raises:
            ServiceError: the last of them gave nothing at all.
        """
        if not self._arrived:
            raise ServiceError(
                "the tf.data service gave none of the batches that were asked for again; look at "
                "the logs of its workers"
            )
        self._ask_again(list(self._missing))

    def _readable(self) -> list[Job]:
        """The jobs that may give something: where too much is early, those of what is missing."""
        if len(self._early) < self._most_early:
            return self._jobs
        return [job for job in self._jobs if job in self._of_repair] or self._jobs

    def _enter(self, element: Element) -> None:
        self._silent_s = self._asked_at_s = 0.0
        self._arrived += 1
        self._gave_any = True
        step = int(element["step"])
        self._last = max(self._last, step)
        if step not in self._missing and not self._manner.repeated:
            self._ledger.discarded += 1
            return
        if step not in self._missing:
            self._ledger.repeat(element["row"].numpy())
        self._missing.pop(step, None)
        self._early[step] = element
        size = element["image"].shape.num_elements() * element["image"].dtype.size
        self._most_early = self._manner.most_early(size)
        self._end_repairs(step)
        if self._manner.in_order and len(self._early) >= self._most_early:
            self._ask_for_overdue()

    def _end_repairs(self, step: int) -> None:
        """Close the jobs of missing batches that have all come."""
        for job, steps in list(self._of_repair.items()):
            steps.discard(step)
            if not steps and job is not self._jobs[0]:
                del self._of_repair[job]
                self._jobs.remove(job)
                job.close()

    def _ask_for_overdue(self) -> None:
        """Ask again for what is missing although much that follows it has come."""
        last = max(self._early)
        asked: set[int] = set().union(*self._of_repair.values())
        overdue = [step for step in self._missing if step < last and step not in asked]
        if overdue:
            self._ask_again(overdue)

    def _ask_again(self, steps: list[int]) -> None:
        """Start another job for some batches; those that no worker may have begun are not lost."""
        if not self._arrived:  # neither did the last one help
            return
        self._ledger.asked_again += sum(step < self._last for step in steps)
        self._start_repair(steps)

    def _start_repair(self, steps: list[int]) -> None:
        self._arrived = 0
        job = self._open_job(self._segment, np.array(steps), self._protected)
        self._jobs = [one for one in self._jobs if not one.ended]
        self._jobs.append(job)
        self._of_repair[job] = set(steps)

    @property
    def _patience_s(self) -> float:
        return _PATIENCE_WITH_LOSS_S if self._ledger.ended_workers else _PATIENCE_S

    def _endure_silence(self) -> None:
        """Ask again for what does not come, and give up in the end.

        Raises:
            LoaderError: all workers have ended, or nothing came for too long.
        """
        ended = self._watch.ended()
        self._ledger.ended_workers = tuple(ended)
        if self._silent_s >= self._manner.timeout_s:
            raise ServiceError(
                f"no batch from the tf.data service for {self._manner.timeout_s:g} s: "
                f"{self._watch.lost()}"
            )
        is_due = self._silent_s - self._asked_at_s >= self._patience_s
        if is_due and self._missing and not (self._manner.shared or self._manner.repeated):
            self._asked_at_s = self._silent_s
            self._ask_again(list(self._missing))

    def _restart(self, error: Exception) -> None:
        """Go on with another job after one that failed, if that one had given anything.

        What it has not given is not lost: it ends with the first image that cannot be read.

        Raises:
            LoaderError: it had not, or other trainers had taken some of what is missing here.
        """
        if self._manner.shared and self._gave_any:
            raise ServiceError(
                f"job_name: the job that the trainers share has failed, and with it the dispatcher "
                f"lost which rows it had given ({tensorflow_message(error)}); start the dispatcher "
                "with --journal, and all trainers again with another job_name"
            ) from error
        can_read_more = not self._protected
        self._protected = True
        if not self._arrived and not can_read_more:
            with suppress(WorkerError):
                self._watch.ended()
            raise ServiceError(f"tf.data service: {tensorflow_message(error)}") from error
        for job in self._jobs:
            job.close()
        self._jobs.clear()
        self._of_repair.clear()
        self._arrived = 0
        if self._missing:
            self._start_repair(list(self._missing))
