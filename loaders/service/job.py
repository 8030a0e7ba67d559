"""One job of a service, read on a thread that can be stopped whatever it waits for."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from feedbench.loaders.tf_rows import Element

if TYPE_CHECKING:
    import tensorflow as tf

AHEAD = 2  # batches that wait here
_PUT_S = 0.1
_END_S = 3.0  # for a thread to end; one that asks a dispatcher that is gone never does


class Job:
    """The elements of a dataset that a service makes, in the order in which they arrive.

    Attributes:
        ended: whether all of them were taken.
        error: why there are no more; None if nothing is wrong.
    """

    def __init__(self, open_dataset: Callable[[], tf.data.Dataset], news: threading.Event) -> None:
        """Start to read.

        Args:
            open_dataset: registers the dataset with the dispatcher and returns the service's.
            news: is set whenever there is something to take.
        """
        from tensorflow.python.eager.cancellation import CancellationManager

        self.ended = False
        self.error: Exception | None = None
        self._open_dataset = open_dataset
        self._news = news
        self._elements: queue.Queue[Element | Exception | None] = queue.Queue(AHEAD)
        self._closed = threading.Event()
        self._cancellation = CancellationManager()
        self._thread = threading.Thread(target=self._run, name="feedbench-service", daemon=True)
        self._thread.start()

    def take(self) -> Element | None:
        """The next element; None if none has arrived."""
        if self.ended:
            return None
        try:
            found = self._elements.get_nowait()
        except queue.Empty:
            return None
        if found is None or isinstance(found, Exception):
            self.ended, self.error = True, found
            return None
        return found

    def close(self) -> None:
        """Stop reading; the dispatcher hears of it unless it is gone."""
        self._closed.set()
        self._cancellation.start_cancel()
        self._thread.join(_END_S)

    def _run(self) -> None:
        try:
            self._read()
            self._put(None)
        except Exception as error:
            error.__traceback__ = None  # whose frames hold the iterator
            self._put(error)

    def _read(self) -> None:
        import tensorflow as tf

        dataset = self._open_dataset()
        if self._closed.is_set():
            return
        iterator = iter(dataset)
        with suppress(tf.errors.OutOfRangeError):
            while self._put(_next(iterator, dataset.element_spec, self._cancellation)):
                pass

    def _put(self, found: Element | Exception | None) -> bool:
        """Pass something on as soon as there is room; False if it is no longer wanted."""
        while not self._closed.is_set():
            with suppress(queue.Full):
                self._elements.put(found, timeout=_PUT_S)
                self._news.set()
                return True
        return False


def _next(iterator: Any, spec: Any, cancellation: Any) -> Element:
    """The next element of an iterator; its public `next` cannot be cancelled."""
    import tensorflow as tf
    from tensorflow.python.eager import context, execute

    leaves = tf.nest.flatten(spec)
    types = [execute.make_type(leaf.dtype, "output_types") for leaf in leaves]
    shapes = [execute.make_shape(leaf.shape, "output_shapes") for leaf in leaves]
    tensors = execute.execute_with_cancellation(
        b"IteratorGetNext",
        num_outputs=len(leaves),
        inputs=[iterator._iterator_resource],
        attrs=("output_types", types, "output_shapes", shapes),
        ctx=context.context(),
        cancellation_manager=cancellation,
    )
    element: Element = tf.nest.pack_sequence_as(spec, tensors)
    return element
