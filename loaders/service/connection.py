"""A service in use: the one at an address, or one that a loader starts for itself."""

from __future__ import annotations

from time import monotonic, sleep
from typing import TYPE_CHECKING

from feedbench.loaders.errors import WorkerError
from feedbench.loaders.service.address import Address
from feedbench.loaders.service.health import ServiceError, running_workers_of, workers_of
from feedbench.loaders.service.job import AHEAD
from feedbench.loaders.service.own import OwnService

if TYPE_CHECKING:
    import tensorflow as tf

    from feedbench.loaders.tf_data_service import TfDataService

_POLL_S = 0.5
_IN_WORKER = 3  # batches that a worker compresses and holds beside those of its prefetch
_AUTOTUNED = 4  # batches that AUTOTUNE prefetches, more or less


class Connection:
    """A dispatcher with its workers.

    Attributes:
        dispatcher: its address.
    """

    def __init__(self, settings: TfDataService) -> None:
        """Find the service of these settings, or start one.

        Raises:
            LoaderError: no dispatcher answers, no worker registers in time, or none starts.
        """
        self._settings = settings
        self._own: OwnService | None = None
        if settings.service is None:
            self._own = OwnService(settings.workers or 1)
            self.dispatcher = self._own.dispatcher
        else:
            self.dispatcher = Address.parse(settings.service, "service")
            _wait_for_worker(self.dispatcher, settings.timeout)

    @property
    def runs_on(self) -> bool:
        """Whether its workers run on while this process is stopped."""
        return self._own is None

    def workers(self) -> int:
        """The number of workers that run."""
        return self._own.workers if self._own else len(running_workers_of(self.dispatcher))

    def ready(self) -> int:
        """The number of batches that workers and this process may hold ready for a job."""
        prefetch = self._settings.prefetch
        held = (_AUTOTUNED if prefetch == "autotune" else prefetch) + _IN_WORKER
        return self.workers() * held + AHEAD

    def distributed(
        self,
        dataset: tf.data.Dataset,
        mode: str,
        job_name: str | None = None,
        trainer: str | None = None,
    ) -> tf.data.Dataset:
        """The dataset as the workers make it.

        Args:
            mode: processing mode, as in the settings.
            job_name: of a job that several trainers share.
            trainer: which of them this one is, if each is to get all batches.
        """
        import tensorflow as tf

        api, settings = tf.data.experimental.service, self._settings
        compression = {"auto": "AUTO", "snappy": "SNAPPY", "none": None}[settings.compression]
        most = settings.max_outstanding_requests
        distribute = api.distribute(
            api.ShardingPolicy[mode.upper()],
            f"grpc://{self.dispatcher}",
            job_name=job_name,
            max_outstanding_requests=None if most == "autotune" else most,
            data_transfer_protocol=settings.data_transfer_protocol,
            compression=compression,
            cross_trainer_cache=None if trainer is None else api.CrossTrainerCache(trainer),
        )
        return dataset.apply(distribute)

    def ended(self) -> list[str]:
        """How each worker process of its own ended that did.

        Raises:
            WorkerError: none is left.
        """
        if self._own is None:
            return []
        ended = self._own.ended()
        if ended and not self._own.workers:
            raise WorkerError(
                f"tf_data_service: {ended[-1]}, and no other worker is left; if memory ran out, "
                "use a smaller prefetch"
            )
        return ended

    def lost(self) -> str:
        """Why no batch comes, as far as dispatcher and workers say."""
        try:
            count = len(workers_of(self.dispatcher))
            running = self.workers()
        except ServiceError as error:
            return str(error)
        if running:
            return (
                f"the dispatcher {self.dispatcher} answers, and {running} of its {count} "
                "registered workers can be reached but send nothing; look at their logs, or raise "
                "the setting timeout"
            )
        return (
            f"the dispatcher {self.dispatcher} answers, but none of its {count} registered "
            "workers does; look at their logs, start others, or raise the setting timeout"
        )

    def close(self) -> None:
        """End the servers of its own."""
        if self._own is not None:
            self._own.close()


def _wait_for_worker(dispatcher: Address, timeout_s: float) -> None:
    """Wait until a dispatcher has a worker.

    Raises:
        ServiceError: no dispatcher answers, or no worker registers in time.
    """
    deadline = monotonic() + timeout_s
    while not workers_of(dispatcher):
        if monotonic() > deadline:
            raise ServiceError(
                f"{dispatcher}: no worker has registered with this dispatcher; start one: "
                f"feedbench serve --worker HOST:PORT --of {dispatcher}"
            )
        sleep(_POLL_S)
