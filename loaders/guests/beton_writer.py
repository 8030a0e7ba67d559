"""FFCV's writer, which ends with an error where FFCV's own would wait forever.

That one counts images until all are written. It never notices that a process was killed or could
not write, and leaves its processes behind if it is interrupted itself.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections.abc import Callable, Iterable
from multiprocessing import Process, Queue, Value
from pathlib import Path
from queue import Empty
from typing import Any

from feedbench.loaders.cores import usable_cores
from feedbench.loaders.errors import LoaderError, WorkerError

_CHUNK = 16  # images that a process takes at a time
_LOOK_S = 0.2  # between two looks at the processes
_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None)  # loaded before any fork: another thread may hold the loader's lock then


def write_images(path: Path, images: Any, field: Any, page_size: int) -> None:
    """Write a .beton file, whose only field is `image`.

    Args:
        images: what FFCV's `from_indexed_dataset` takes.
        field: FFCV's `RGBImageField`.

    Raises:
        OSError: it cannot be written.
        LoaderError: a process was killed or failed.
    """
    from ffcv.writer import DatasetWriter

    class Writer(DatasetWriter):  # type: ignore[misc]
        def _write_common(
            self, num_samples: int, work: Iterable[Any], function: Any, more: tuple[Any, ...]
        ) -> None:
            self.num_samples = num_samples
            self.prepare()
            try:
                self.finalize(_written(self, work, function, more))
            finally:
                self.metadata_sm.close()
                self.metadata_sm.unlink()

    writer = Writer(str(path), {"image": field}, page_size=page_size, num_workers=usable_cores())
    writer.from_indexed_dataset(images, chunksize=_CHUNK)


def _written(
    writer: Any, work: Iterable[Any], function: Callable[..., None], more: tuple[Any, ...]
) -> list[Any]:
    """Write the images in processes; return where each is in the file."""
    from ffcv.memory_allocator import MemoryAllocator

    todo: Any = Queue()
    results: Any = Queue()
    for chunk in [*work, *[None] * writer.num_workers]:
        todo.put(chunk)
    allocator = MemoryAllocator(writer.fname, writer.data_region_start, writer.page_size)
    arguments = (todo, writer.metadata_sm, writer.metadata_type, writer.fields, allocator)
    arguments = (*arguments, Value(ctypes.c_uint64, 0), results, *more)
    processes = [
        Process(target=_work, args=(os.getpid(), function, arguments, results), daemon=True)
        for _ in range(writer.num_workers)
    ]
    try:
        for process in processes:
            process.start()
        return [place for _ in processes for place in _result(results, processes)]
    finally:
        for process in processes:
            if process.pid is not None:
                process.kill()
                process.join()
        for queue in (todo, results):
            queue.cancel_join_thread()  # nobody takes what is left in it
            queue.close()


def _work(
    parent: int, function: Callable[..., None], arguments: tuple[Any, ...], results: Any
) -> None:
    """What each process runs; an error goes to the parent."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends this process
    if sys.platform == "linux":
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        return
    try:
        function(*arguments)
    except OSError as error:
        results.put(OSError(error.errno, error.strerror))
    except Exception as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        results.put(LoaderError(f"ffcv: the .beton file cannot be written: {reason}"))


def _result(results: Any, processes: list[Process]) -> Any:
    """What one process returned.

    Raises:
        OSError: it cannot write.
        LoaderError: it failed, or was killed.
    """
    while True:
        codes = [process.exitcode for process in processes]
        try:
            result = results.get(timeout=_LOOK_S)
        except Empty:
            _check(codes)
        else:
            if isinstance(result, Exception):
                raise result
            return result


def _check(codes: list[int | None]) -> None:
    """Check the exit codes of processes from whom no result has come since."""
    if all(code == 0 for code in codes):
        raise WorkerError("ffcv: a process that writes the .beton file ended without a result")
    code = next((code for code in codes if code), None)
    if code is not None:
        cause = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        raise WorkerError(
            f"ffcv: a process that writes the .beton file ended with {cause}; if memory ran out, "
            "use a smaller max_resolution, or a larger /dev/shm"
        )
