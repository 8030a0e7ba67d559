"""The workers of a training on several machines; a training on one machine is a team of one."""

from __future__ import annotations

import platform
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np

from feedbench.bench.cluster.hosts import Cluster
from feedbench.bench.cluster.meeting import meet
from feedbench.bench.cluster.session import Session
from feedbench.bench.errors import PlanError
from feedbench.bench.loader_facts import dropped_by
from feedbench.bench.record import Dropped
from feedbench.bench.training.callbacks import Callbacks
from feedbench.bench.training.options import TrainingOptions
from feedbench.bench.training.part import UsageMeter, trained_since, worker_record
from feedbench.bench.training.setup import TrainingSetup
from feedbench.bench.trials.cache_state import Files
from feedbench.loaders import ImageError, Manifest, Stream
from feedbench.trainer import TrainingStopped

if TYPE_CHECKING:
    from feedbench.trainer import Epoch, Position, Replicas, TrainerBase

_VERSIONS = ("feedbench", "tensorflow", "keras", "numpy")
_SIZED = 1_000  # images whose sizes are compared
_READY, _STATE, _DROPPED, _PART = "ready", "state", "dropped", "part"
_STOPPED = "stopped; the chief has saved a checkpoint"


@dataclass(frozen=True)
class Start:
    """Where the stream of batches starts.

    Attributes:
        step: the first batch.
        dropped: images that an earlier part of the training dropped.
    """

    step: int = 0
    dropped: tuple[ImageError, ...] = ()


class Team:
    """All workers of a training, seen from one of them."""

    def __init__(
        self,
        session: Session | None,
        start: Start,
        callbacks: Callbacks,
        step_images: int | None = None,
    ) -> None:
        """Prepare the team.

        Args:
            step_images: images of a step over all workers; None for a training on one machine.
        """
        self.start = start
        self.step_images = step_images
        self._meter = UsageMeter()
        self._session = session
        self._callbacks = callbacks
        self._reporter: _Reporter | None = None

    @property
    def workers(self) -> int:
        """How many there are."""
        return self.share[1]

    @property
    def is_chief(self) -> bool:
        """Whether this worker validates, and writes checkpoints and the record."""
        return self._session is None or self._session.cluster.is_chief

    @property
    def share(self) -> tuple[int, int]:
        """This worker and the number of all, which divide each batch."""
        return (0, 1) if self._session is None else self._session.cluster.share

    def replicas(self, devices: str) -> Replicas:
        """Return the devices that train together.

        Args:
            devices: the value of --devices, of a training on one machine.

        Raises:
            PeerLost: a worker has ended before all were connected.
        """
        from feedbench.trainer import find_replicas

        return find_replicas(devices) if self._session is None else _connected(self._session)

    def agree(self, trainer: TrainerBase, saved: tuple[Position, Sequence[Any]] | None) -> Position:
        """Give the trainers of all workers the chief's position and values; return the position.

        Args:
            saved: of a checkpoint, on the chief; None to start with the values of its trainer.
        """
        from feedbench.trainer import Position, checkpoint_bytes, from_bytes

        if self._session is None:
            if saved is None:
                return Position()
            trainer.restore(saved[0].phase, saved[0].phase_steps, saved[1])
            return saved[0]
        if self.is_chief:
            data = checkpoint_bytes(*(saved or (Position(), trainer.capture())))
            self._session.tell(_STATE, {}, data)
        else:
            data = self._session.from_each(_STATE)[0].data
        position, arrays = from_bytes(data)
        trainer.restore(position.phase, position.phase_steps, arrays)
        return position

    def watching(self, stream: Stream) -> Callbacks:
        """Return callbacks that note lost workers, and bring dropped images to the chief."""
        if self._session is None:
            return Callbacks()
        self._reporter = reporter = _Reporter(self._session, stream)
        return Callbacks(on_step=lambda step: reporter.update())

    def should_stop(self) -> bool:
        """Whether to stop now; a worker asks the chief instead, which can save a checkpoint."""
        if self._session is None:
            return self._callbacks.should_stop()
        if self.is_chief:
            return self._callbacks.should_stop() or self._session.is_asked_to_stop
        if self._callbacks.should_stop():
            self._session.ask_to_stop()
        return False

    def collect(
        self, begin: Position, epochs: Sequence[Epoch], stream: Stream
    ) -> list[dict[str, Any]]:
        """Bring every worker's part to the chief; return them there, ordered by worker.

        Args:
            begin: where this process began to train.
            epochs: from the first on.
            stream: its batches.
        """
        if self._session is None:
            return []
        cluster = self._session.cluster
        own_epochs = trained_since(begin, epochs)
        own_dropped = self._reporter.own_dropped() if self._reporter else dropped_by(stream)
        part = self._meter.part(1 / self.workers, own_epochs, own_dropped)
        own = worker_record(part, cluster.worker, cluster.addresses[cluster.worker])
        if not self.is_chief:
            self._session.tell(_PART, own)
            return []
        others = self._session.from_each(_PART)
        return [own, *(others[worker].values for worker in sorted(others))]


class _Reporter:
    """Tells the chief what this worker drops; on the chief, takes in what others drop."""

    def __init__(self, session: Session, stream: Stream) -> None:
        self._session = session
        self._stream = stream
        self._told = len(stream.dropped)
        self._not_own = {error.row for error in stream.dropped}  # of an earlier part

    def own_dropped(self) -> list[Dropped]:
        """Return the images that this worker dropped, before any other did."""
        return [image for image in dropped_by(self._stream) if image.row not in self._not_own]

    def update(self) -> None:
        """Send or take in what is new.

        Raises:
            PeerLost: a worker is lost.
            LoaderError: all workers together drop more images than they may.
        """
        self._session.check()
        if not self._session.cluster.is_chief:
            for error in self._stream.dropped[self._told :]:
                self._session.tell(_DROPPED, _fields(error))
            self._told = len(self._stream.dropped)
            return
        for message in self._session.waiting(_DROPPED):
            error = ImageError(**message.values)
            if self._stream.faults is not None:
                if error.row not in self._stream.faults.dropped:
                    self._not_own.add(error.row)
                self._stream.faults.add(error)


def _fields(error: ImageError) -> dict[str, Any]:
    names = ("path", "row", "decoder", "reason")
    return {name: getattr(error, name) for name in names}


@contextmanager
def joined(
    options: TrainingOptions,
    setup: TrainingSetup,
    identity: dict[str, Any],
    start: Start,
    callbacks: Callbacks,
) -> Iterator[Team]:
    """Meet the other workers, and yield them; an error in the body ends all of them.

    Args:
        options: how this process trains, alone or as a worker.
        identity: what must be equal on all workers.
        start: the chief's; the others are given it.

    Raises:
        PlanError: a worker differs, or does not come in time.
        PeerLost: a worker has ended.
    """
    cluster = options.cluster
    if cluster is None:
        yield Team(None, start, callbacks)
        return
    facts = {**_facts(cluster, setup), **identity, **_sizes(setup.train_images)}
    told = {"step": start.step, "dropped": [_fields(error) for error in start.dropped]}
    wires, given = meet(cluster, facts, told, callbacks.on_note, lambda: _poll(callbacks))
    given_start = Start(given["step"], tuple(ImageError(**one) for one in given["dropped"]))
    with Session(cluster, wires, options.end_at_once, partial(_pass_on, callbacks)) as session:
        options.farewell.tell = session.farewell
        try:
            yield Team(session, given_start, callbacks, setup.spec.batch_size)
        except TrainingStopped:
            session.stopped(_STOPPED)
            raise
        except Exception as error:
            if type(error).__module__.startswith("tensorflow."):
                _await_news(session, str(error))
            raise


def _connected(session: Session) -> Replicas:
    """Connect TensorFlow with all workers, once all are about to.

    Until then, a lost worker is noticed at once; from then on, after the longest silence, and
    this process ends at once.
    """
    from feedbench.bench.cluster.strategy import connect

    if session.cluster.is_chief:
        session.from_each(_READY)
        session.tell(_READY, {})
    else:
        session.tell(_READY, {})
        session.from_each(_READY)
    try:
        return connect(session.cluster)
    except PlanError as error:
        session.fail(str(error))
        raise


def _await_news(session: Session, text: str) -> None:
    """Wait for the news that explains an error of TensorFlow, whose own text names no address."""
    _, is_of_network, reason = text.partition("Collective ops is aborted by: ")
    first_line = reason.partition("\n")[0]
    session.lost_soon(first_line, is_of_network=bool(is_of_network))


def _pass_on(callbacks: Callbacks, session: Session) -> None:
    """Have a worker that is asked to stop ask the chief, though its step may wait for another."""
    if not session.cluster.is_chief and callbacks.should_stop():
        session.ask_to_stop()


def _poll(callbacks: Callbacks) -> None:
    if callbacks.should_stop():
        raise TrainingStopped


def _facts(cluster: Cluster, setup: TrainingSetup) -> dict[str, Any]:
    """Return what must be equal besides the training's identity, in the order of comparison."""
    return {
        "the list of workers": list(cluster.addresses),
        "Python": ".".join(platform.python_version_tuple()[:2]),
        **{name: version(name) for name in _VERSIONS},
        "the number of training images": len(setup.train_images),
        "the list of classes": list(setup.manifest.classes),
    }


def _sizes(images: Manifest) -> dict[str, int]:
    """Return what tells copies of other images under the same names, without reading any."""
    rows = np.arange(len(images))
    if len(rows) > _SIZED:
        rows = np.random.default_rng(0).choice(len(rows), _SIZED, replace=False)
    return {f"the size of {len(rows):,} training images in bytes": Files(images).size(rows)}
