"""Torch's DataLoader: batches through the memory that its processes share, and its end."""

from __future__ import annotations

import signal
import threading
import warnings
from collections.abc import Callable, Iterator
from time import monotonic, sleep
from typing import Any

import numpy as np
from numpy.typing import NDArray

from feedbench.loaders.end_of_child import EndOfChild
from feedbench.loaders.errors import LoaderError, WorkerError

_WAIT_S = 5.0  # for a thread that was asked to end, and for a process whose connection broke
_POLL_S = 0.05
_BROKEN = (EOFError, OSError, RuntimeError)  # what a connection to a killed process ends with


def shared_tensor(shape: tuple[int, ...], dtype: str) -> Any:
    """Return an uninitialized tensor; in a worker process, in memory that the parent can map.

    Torch would otherwise copy it there. Its own `default_collate` allocates in the same way.
    """
    import torch

    kind = getattr(torch, dtype)
    if torch.utils.data.get_worker_info() is None:
        return torch.empty(shape, dtype=kind)
    size = int(np.prod(shape)) * kind.itemsize
    storage = torch.UntypedStorage._new_shared(size, device="cpu")
    return torch.empty(0, dtype=kind).set_(storage).view(shape)


def array_of(tensor: Any) -> NDArray[Any]:
    """Return a tensor's memory as an array, which keeps it alive."""
    array: NDArray[Any] = tensor.numpy()
    return array


def as_they_are(value: Any) -> Any:
    """Collate nothing: the data set gives whole batches."""
    return value


def check_pinning(loader: str, *, pin_memory: bool) -> None:
    """Check that memory can be pinned.

    Raises:
        LoaderError: Torch has no accelerator to pin it for.
    """
    import torch

    if pin_memory and not torch.accelerator.is_available():
        raise LoaderError(f"{loader}: pin_memory needs a GPU that torch can use; set it to false")


class Results:
    """What a DataLoader gives; its processes are started at once.

    An error that a worker process returned in place of a result is raised.
    """

    def __init__(self, name: str, dataset: Any, **options: Any) -> None:
        """Start to iterate a DataLoader.

        Args:
            name: of the loader, for messages.
            options: arguments of DataLoader besides the data set.
        """
        from torch.utils.data import DataLoader

        self._name = name
        self._data_loader: Any = _quietly(lambda: DataLoader(dataset, **options))
        self.restart()

    def restart(self) -> None:
        """Start another pass, with the same processes if the DataLoader keeps them."""
        self._iterator: Any = _quietly(lambda: iter(self._data_loader))
        EndOfChild.install()
        self._workers = getattr(self._iterator, "_workers", ())  # nothing of this has a public name
        self._queues = getattr(self._iterator, "_index_queues", ())

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        if self._iterator is None:
            raise StopIteration
        self.check_workers()
        try:
            with EndOfChild.reported_to(lambda error: self.check_workers()):
                result = next(self._iterator)
        except (StopIteration, LoaderError):
            raise
        except Exception as error:
            self._check_ended_workers(error)
            lines = str(error).strip().splitlines() or [type(error).__name__]
            raise LoaderError(f"{self._name}: {lines[-1]}") from error
        if isinstance(result, Exception):
            raise result
        return result

    def check_workers(self) -> None:
        """Check that no worker process was killed.

        Raises:
            WorkerError: one was.
        """
        killed = next((one for one in self._workers if one.exitcode not in (None, 0)), None)
        if killed is not None:
            code = killed.exitcode
            cause = signal.Signals(-code).name if code < 0 else f"exit code {code}"
            raise WorkerError(
                f"{self._name}: worker process {killed.pid} ended with {cause}; if memory ran out, "
                "use fewer num_workers, a smaller prefetch_factor, or a larger /dev/shm"
            )

    def _check_ended_workers(self, error: Exception) -> None:
        """Check the same after an error; a connection breaks before its process has ended."""
        end = monotonic() + (_WAIT_S if isinstance(error, _BROKEN) else 0)
        self.check_workers()
        while monotonic() < end:
            sleep(_POLL_S)
            self.check_workers()

    def close(self) -> None:
        """End processes and threads; further calls do nothing."""
        iterator, self._iterator = self._iterator, None
        shut_down = getattr(iterator, "_shutdown_workers", lambda: None)  # none without workers
        shut_down()
        for queue in self._queues:
            _join(getattr(queue, "_thread", None))
        self._queues = self._workers = ()


def _quietly(call: Callable[[], Any]) -> Any:
    """Call without a warning: a bench may try more workers than Torch suggests."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "This DataLoader will create", UserWarning)
        return call()


def _join(thread: threading.Thread | None) -> None:
    if thread is not None:
        thread.join(_WAIT_S)
