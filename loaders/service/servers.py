"""The servers of the tf.data service, each in this process: a dispatcher, or a worker."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Self

from feedbench.loaders.errors import LoaderError, SettingsError
from feedbench.loaders.images.pillow import tensorflow_message
from feedbench.loaders.service.address import Address, check_free

# A bench stops a trial's process while it times the others, and its client then sends no sign of
# life: a dispatcher would otherwise forget it after 2 minutes.
_CLIENT_TIMEOUT_MS = 6 * 3600 * 1000
_HEARTBEAT_MS = 1_000  # of a worker: how soon it hears of new jobs
_CACHE_BYTES = 4 * 2**30  # of batches that a worker keeps for other trainers
_DISPATCHER_TIMEOUT_MS = 3600 * 1000  # for which a worker waits for a dispatcher that is gone


class Server:
    """A running server.

    Attributes:
        address: under which others reach it.
    """

    def __init__(self, server: Any, address: Address) -> None:
        self._server = server
        self.address = address

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Stop it; calls that it answers at this moment end first."""
        self._server._stop()


def start_dispatcher(address: Address, journal: Path | None = None) -> Server:
    """Start a dispatcher that listens on all of this machine's interfaces.

    Args:
        address: under which others reach it.
        journal: folder with its state, from which it continues if it is started again; workers read
            their tasks from there too, so on other machines it needs the same path.

    Raises:
        SettingsError: its port is in use, or the folder cannot be written.
    """
    check_free(address.port, "dispatcher")
    if journal is not None:
        _check_journal(journal)
    import tensorflow as tf
    from tensorflow.core.protobuf import service_config_pb2

    # Not the public class, which has no client_timeout_ms.
    config = service_config_pb2.DispatcherConfig(
        port=address.port,
        protocol="grpc",
        work_dir="" if journal is None else str(journal.absolute()),
        fault_tolerant_mode=journal is not None,
        client_timeout_ms=_CLIENT_TIMEOUT_MS,
    )
    server = _started(tf.data.experimental.service.DispatchServer, config)
    return Server(server, Address(address.host, _port(server)))


def start_worker(address: Address, dispatcher: Address) -> Server:
    """Start a worker that listens on all of this machine's interfaces.

    Args:
        address: under which the trainers reach it.
        dispatcher: which it registers with.

    Raises:
        SettingsError: its port is in use.
    """
    check_free(address.port, "worker")
    import tensorflow as tf
    from tensorflow.core.protobuf import service_config_pb2

    port = address.port or "%port%"
    config = service_config_pb2.WorkerConfig(
        port=address.port,
        protocol="grpc",
        dispatcher_address=str(dispatcher),
        worker_address=f"{address.host}:{port}",
        heartbeat_interval_ms=_HEARTBEAT_MS,
        dispatcher_timeout_ms=_DISPATCHER_TIMEOUT_MS,
        cross_trainer_cache_size_bytes=_CACHE_BYTES,
    )
    server = _started(tf.data.experimental.service.WorkerServer, config)
    return Server(server, Address(address.host, _port(server)))


def _started(kind: Any, config: Any) -> Any:
    import tensorflow as tf

    try:
        return kind(config)
    except tf.errors.OpError as error:
        raise LoaderError(f"TensorFlow cannot start it: {tensorflow_message(error)}") from error


def _port(server: Any) -> int:
    return int(server._address.rpartition(":")[2])


def _check_journal(journal: Path) -> None:
    try:
        journal.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SettingsError(f"journal: {journal}: {error.strerror}") from error
    if not os.access(journal, os.W_OK):
        raise SettingsError(f"journal: {journal}: it cannot be written; name another folder")
