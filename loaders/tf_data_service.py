"""tf_data_service: tf.data in other processes or on other machines, which send finished batches.

Source: https://www.tensorflow.org/api_docs/python/tf/data/experimental/service.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Literal, Self

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt, model_validator

from feedbench.loaders.closing import closed_on_error
from feedbench.loaders.contract import Batch, BatchSpec, Loader, Request, Stream
from feedbench.loaders.errors import SettingsError, SourceError, WorkerError
from feedbench.loaders.fifos import FifoWatch
from feedbench.loaders.images.tensorflow import Decode
from feedbench.loaders.manifest import Layout, Manifest
from feedbench.loaders.order import Order
from feedbench.loaders.own.coverage import Coverage, RowCounter
from feedbench.loaders.service.address import Address
from feedbench.loaders.service.connection import Connection
from feedbench.loaders.service.delivery import Delivery
from feedbench.loaders.service.filling import Filling
from feedbench.loaders.service.graph import Graph
from feedbench.loaders.service.health import ServiceError
from feedbench.loaders.service.image_work import ImageWork
from feedbench.loaders.service.job import Job
from feedbench.loaders.service.ledger import Ledger, Losses
from feedbench.loaders.service.parts import Parts
from feedbench.loaders.service.reading import Manner
from feedbench.loaders.service.traffic import traffic
from feedbench.loaders.settings import Autotune, Output, PixelOutput, or_autotune
from feedbench.loaders.stages.stage import Service, Stages, whole_files

if TYPE_CHECKING:
    import tensorflow as tf

    from feedbench.loaders.order import Rows
    from feedbench.loaders.service.segments import Segment

_LAYOUTS: tuple[Layout, ...] = (
    "folder",
    "splits",
    "csv",
)  # a range in a shard can only be read by Python


class TfDataService(PixelOutput):
    """Settings of `tf_data_service`."""

    service: str | None = Field(
        None,
        description="HOST:PORT of a dispatcher that feedbench serve has started; default: a "
        "dispatcher and worker processes of its own on this machine, which end with the loader.",
    )
    workers: PositiveInt | None = Field(
        None,
        description="Worker processes of its own, each with a thread per core; default: 1. Not "
        "with a service.",
    )
    processing_mode: Literal["dynamic", "off"] = Field(
        "dynamic",
        description="dynamic: each batch is made by one worker; off: every worker makes all "
        "batches, so that with several workers each row comes several times per epoch.",
    )
    compression: Literal["auto", "snappy", "none"] = Field(
        "auto",
        description="auto: TensorFlow decides, at present for Snappy; snappy: fewer bytes on the "
        "network, for CPU time at both ends; none: as they are.",
    )
    max_outstanding_requests: PositiveInt | Autotune = Field(
        "autotune",
        description="Batches requested at a time; each takes memory; autotune: one per worker.",
    )
    job_name: str | None = Field(
        None,
        min_length=1,
        description="Name of a job that trainers with the same images, spec and settings share: "
        "each row then goes to one of them. Never use a name again. Only with a service.",
    )
    cross_trainer_cache: str | None = Field(
        None,
        min_length=1,
        description="This trainer's own ID. All trainers that share a job then get all of its "
        "batches: workers make each once and keep it for a while, and a trainer that is too late "
        "misses it. Needs job_name.",
    )
    data_transfer_protocol: str | None = Field(
        None, description="How batches travel, such as grpc; default: TensorFlow decides."
    )
    num_parallel_calls: PositiveInt | Autotune = Field(
        "autotune", description="Images decoded in parallel by each worker."
    )
    prefetch: NonNegativeInt | Autotune = Field(
        2, description="Batches that each worker prepares ahead; each takes memory."
    )
    private_threads: PositiveInt | None = Field(
        None, description="Threads of each worker for these images; default: one per core."
    )
    deterministic: bool = Field(
        True,
        description="true: batches are put back into the seeded order; false: as they arrive.",
    )
    decode: Decode = Field(
        "image",
        description="image: decode_image; jpeg: decode_jpeg; scaled: decode_jpeg with its fastest "
        "transform and upsampling, shrinking by 1/2, 1/4 or 1/8 where enough pixels remain.",
    )
    output: Output = "uint8"
    timeout: PositiveFloat = Field(
        60.0, description="Seconds without any batch after which the run ends with an error."
    )

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.service is not None:
            if self.workers is not None:
                raise ValueError("workers are those of its own: leave it out with a service")
            Address.parse(self.service, "service")
        elif self.job_name is not None:
            raise ValueError("job_name needs a service that other trainers can reach: set service")
        if self.cross_trainer_cache is not None and self.job_name is None:
            raise ValueError("cross_trainer_cache needs job_name")
        return self

    @property
    def in_order(self) -> bool:
        """Whether the batches are those of the seeded order, each once."""
        return self.deterministic and self.processing_mode == "dynamic" and self.job_name is None


def open_stream(request: Request, settings: TfDataService) -> Stream:
    """The batches that a service makes.

    Raises:
        LoaderError: no dispatcher or no worker answers, or the images lie in shards.
    """
    if settings.cross_trainer_cache is not None and request.order.epochs is not None:
        raise SettingsError("cross_trainer_cache: only for a stream without an end")
    running = _Running(request, settings)
    return Stream(
        running.batches(),
        running.close,
        request.faults,
        coverage=running.coverage,
        traffic=traffic,
        losses=running.losses,
        ready=running.ready,
    )


class _Running:
    """A service at work on a request.

    Attributes:
        ledger: what it lost, and gave twice.
    """

    def __init__(self, request: Request, settings: TfDataService) -> None:
        self.ledger = Ledger(RowCounter(len(request.manifest), request.order.start_step))
        self._request = request
        self._settings = settings
        # Before the servers start: it refuses what cannot be done.
        self._graph = _graph(request, settings)
        self._connection = Connection(settings)
        manner = Manner(
            settings.in_order,
            settings.job_name is not None,
            settings.processing_mode == "off",
            settings.timeout,
            self._connection.ready(),
        )
        is_elsewhere = settings.service is not None
        self._filling = Filling(
            request, settings.decode, settings.output, is_elsewhere=is_elsewhere
        )
        with closed_on_error(self):
            watch = self._connection
            self._delivery = Delivery(self._filling, self._job, manner, watch, self.ledger)

    def batches(self) -> Iterator[Batch]:
        """The batches; the reads of FIFOs by workers on this machine are ended."""
        with FifoWatch(self._request.manifest) as watch:
            yield from watch.over(self._delivery.batches())

    def ready(self) -> int:
        """The number of batches that are made while this process is stopped."""
        with suppress(ServiceError):  # of a dispatcher that is gone: workers may still serve
            return self._connection.ready() if self._connection.runs_on else 0
        return 0

    def coverage(self) -> Coverage | None:
        """Whether each row comes once per epoch; None where it is not to, or not all of them."""
        order = self._request.order
        if order.sampling is not None or order.part is not None:
            return None
        return self.ledger.coverage(self._request.faults.dropped)

    def losses(self) -> Losses:
        """What was lost so far, and made up for."""
        with suppress(WorkerError):  # if none is left, the next batch says so
            self.ledger.ended_workers = tuple(self._connection.ended())
        return self.ledger.losses(self._filling.filled)

    def close(self) -> None:
        """End all jobs, then the servers of its own."""
        delivery: Delivery | None = getattr(self, "_delivery", None)
        if delivery is not None:
            delivery.close()
        self._connection.close()

    def _job(
        self,
        order: Order,
        segment: Segment,
        steps: Rows | None,
        protected: bool,
        news: threading.Event,
    ) -> Job:
        numbers = segment.steps if steps is None else steps
        return Job(
            lambda: self._distributed(
                self._graph.dataset(order, numbers, protected=protected), segment
            ),
            news,
        )

    def _distributed(self, dataset: tf.data.Dataset, segment: Segment) -> tf.data.Dataset:
        settings = self._settings
        if settings.cross_trainer_cache is not None:
            dataset = dataset.repeat()  # it must have no end
        return self._connection.distributed(
            dataset,
            settings.processing_mode,
            self._job_name(segment),
            settings.cross_trainer_cache,
        )

    def _job_name(self, segment: Segment) -> str | None:
        """A name that only trainers have whose rows and images are the same."""
        name, manifest = self._settings.job_name, self._request.manifest
        if name is None:
            return None
        facts = (
            manifest.fingerprint(),
            str(manifest.root),
            self._request.spec.model_dump_json(),
            self._settings.decode,
            self._settings.output,
        )
        digest = hashlib.sha256("\0".join(facts).encode("utf-8", "surrogateescape")).hexdigest()
        return f"{name}.{digest[:16]}.{segment.number}"


def _stages(manifest: Manifest, spec: BatchSpec, settings: TfDataService) -> Stages:
    """The parts of a service: its workers, the network, and files if its own workers read them."""
    order = Order(len(manifest), spec.batch_size, spec.shuffle, spec.seed, spec.augment)
    parts = Parts(lambda: _graph(Request(manifest, spec, order), settings), order, settings)
    service = Service(parts.workers, parts.network, parts.count, parts.use_up, parts.close)
    if settings.service is None:
        return Stages(whole_files(manifest), service=service)
    return Stages(
        None,
        service=service,
        reads_nothing="the workers of the service read the files, on whatever machine",
    )


def _why_not_once(settings: TfDataService) -> str | None:
    """Why rows do not come once per epoch."""
    if settings.cross_trainer_cache is not None:
        return (
            "with cross_trainer_cache batches that have left the workers' memory are missed, and "
            "their rows left out"
        )
    if settings.job_name is not None:
        return "with job_name other trainers that share the job take some of the rows"
    if settings.processing_mode == "off":
        return "with processing_mode=off each worker gives every row, so several repeat them all"
    return None


def _graph(request: Request, settings: TfDataService) -> Graph:
    """The graph that the workers run.

    Raises:
        LoaderError: the images lie in shards.
    """
    if request.manifest.in_shards:
        raise SourceError(
            "tf_data_service: the images lie in shards, of which its workers can read no part; "
            "use another loader, or files in folders"
        )
    import tensorflow as tf

    options = tf.data.Options()
    options.deterministic = True  # or images of two steps would share a batch
    options.autotune.enabled = "autotune" in (settings.num_parallel_calls, settings.prefetch)
    if settings.private_threads is not None:
        options.threading.private_threadpool_size = settings.private_threads
    work = ImageWork(request, settings.decode, settings.output, python=False)
    calls, prefetch = map(or_autotune, (settings.num_parallel_calls, settings.prefetch))
    return Graph(request.manifest, request.spec.image_size, work, calls, prefetch, options)


def _shares_a_job(settings: TfDataService) -> str | None:
    if settings.job_name is None:
        return None
    return "each worker has images of its own, so that they share no job; leave out job_name"


LOADER = Loader(
    name="tf_data_service",
    summary="tf.data service: workers in other processes or on other machines decode and send",
    turns_by_scan=True,
    settings=TfDataService,
    open=open_stream,
    layouts=_LAYOUTS,
    reads_objects=False,
    readable_by=("pillow", "tensorflow"),  # what TensorFlow cannot read is decoded here
    space={"compression": ("auto", "none")},
    suites={},
    stages=_stages,
    cannot_share=_shares_a_job,
    cuts_no_regions=lambda settings: None,
    why_not_once=_why_not_once,
)
