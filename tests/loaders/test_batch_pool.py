"""A pool of threads fills whole batches in order, whatever its source does."""

import gc
import signal
import threading
import time
import weakref
from concurrent.futures import ThreadPoolExecutor
from itertools import islice

import numpy as np
import pytest

from feedbench.loaders import BatchSpec, BudgetError, ImageError, LoaderError, Order, Request, scan
from feedbench.loaders.batch_pool import BatchPool, pool_stream
from feedbench.loaders.faults import Faults, tolerance
from feedbench.loaders.pool import compiled, tasks
from feedbench.loaders.pool.tasks import PieceTasks, batches_ahead, pieces_of
from feedbench.loaders.turbo import Turbo

SIDE = 4
SPEC = BatchSpec(batch_size=8, image_size=SIDE, seed=1)


class RowSource:
    """Images that hold their row's number; some rows fail."""

    def __init__(self, unreadable=(), error=None):
        self.unreadable = set(unreadable)
        self.error = error
        self.batches = 0
        self.images = 0
        self._lock = threading.Lock()

    def find(self, rows):
        self.batches += 1
        return [f"item {row}" for row in rows.tolist()]

    def load(self, row, item, into):
        assert item == f"item {row}"
        with self._lock:
            self.images += 1
        if row in self.unreadable:
            raise self.error or ImageError("file", row, "a decoder", "broken")
        into[...] = row


@pytest.fixture(params=["compiled", "not compiled"], autouse=True)
def way(request, monkeypatch):
    """How the threads get their tasks."""
    if request.param == "not compiled":
        monkeypatch.setattr(tasks, "compiled_module", lambda: None)
    elif compiled.compiled_module() is None:
        pytest.skip("not compiled")
    return request.param


@pytest.fixture(scope="module")
def manifest(splits_folder):
    return scan(splits_folder).only("train")


def stream_of(source, manifest, *, epochs=2, on_error="raise", budget=0.0, chunk=2, **settings):
    order = Order(len(manifest), SPEC.batch_size, seed=SPEC.seed, epochs=epochs)
    faults = Faults(tolerance(on_error, budget, len(manifest)))
    request = Request(manifest, SPEC, order, faults)
    return pool_stream(source, request, Turbo(**settings), chunk=chunk)


@pytest.mark.parametrize(
    ("threads", "chunk", "prefetch"), [(1, 1, 0), (1, 100, 2), (4, 1, 2), (4, 3, 0), (2, 16, 7)]
)
def test_every_image_is_in_its_place(manifest, threads, chunk, prefetch):
    settings = {"num_threads": threads, "prefetch": prefetch}
    with stream_of(RowSource(), manifest, chunk=chunk, **settings) as stream:
        batches = [(np.array(batch.images), batch.rows) for batch in stream]
    rows = np.concatenate([rows for _, rows in batches])
    assert rows.tolist() == Order(len(manifest), 8, seed=1).rows(0, 2 * len(manifest)).tolist()
    for images, rows in batches:
        assert (images == rows[:, None, None, None].astype(np.uint8)).all()


@pytest.mark.parametrize(
    ("images", "chunk", "sizes"),
    [(8, 3, [2, 3, 3]), (8, 8, [8]), (8, 100, [8]), (1, 3, [1]), (33, 32, [16, 17])],
)
def test_pieces_are_of_about_the_same_size(images, chunk, sizes):
    pieces = pieces_of(images, chunk)
    assert [len(piece) for piece in pieces] == sizes
    assert [place for piece in pieces for place in piece] == list(range(images))


def test_without_prefetch_all_threads_share_the_batch_that_is_awaited():
    assert PieceTasks(2, 100, ahead=False).ahead(0, 8) == 1
    for ahead, size in ((False, 1), (True, 100)):
        pieces = PieceTasks(2, 100, ahead=ahead)
        assert pieces._most(8) == size


def test_ctrl_c_ends_the_wait_for_a_batch(manifest, way):
    if way == "not compiled":
        pytest.skip("Python's queue misses a signal that comes just before it waits")
    source = HeldUntilClosed()
    request = Request(manifest, SPEC, Order(len(manifest), SPEC.batch_size))

    def interrupt():
        source.is_loading.wait()
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)

    interrupting = threading.Thread(target=interrupt)
    interrupting.start()
    with (
        pool_stream(source, request, Turbo(), chunk=2, stop=source.is_closed.set) as stream,
        pytest.raises(KeyboardInterrupt),
    ):
        next(stream)
    interrupting.join()


def test_two_streams_at_once_have_their_own_threads(manifest):
    with stream_of(RowSource(), manifest) as one, stream_of(RowSource(), manifest) as other:
        for first, second in zip(one, other, strict=True):
            assert np.array_equal(first.rows, second.rows)
            assert np.array_equal(first.images, second.images)


def test_a_stream_that_gave_no_batch_has_no_threads(manifest):
    before = set(threading.enumerate())
    with stream_of(RowSource(), manifest):
        assert set(threading.enumerate()) == before


def test_closing_waits_for_one_image_not_for_a_piece(manifest):
    loading = threading.Event()

    class UntilClosed(RowSource):
        def load(self, row, item, into):
            super().load(row, item, into)
            if self.images > SPEC.batch_size:
                loading.set()
                while pool._open:
                    time.sleep(0.001)

    source = UntilClosed()
    request = Request(manifest, SPEC, Order(len(manifest), SPEC.batch_size))
    pool = BatchPool(source, request, Turbo(num_threads=1), 100)
    next(pool.batches())
    loading.wait()
    pool.close()
    assert source.images == SPEC.batch_size + 1


class HeldUntilClosed(RowSource):
    """Holds the image that is loaded first until the stream is being closed."""

    def __init__(self, unreadable=()):
        super().__init__(unreadable)
        self.is_loading, self.is_closed = threading.Event(), threading.Event()

    def load(self, row, item, into):
        self.is_loading.set()
        self.is_closed.wait()
        super().load(row, item, into)


def test_a_stream_is_closed_while_another_thread_starts_its_threads(manifest):
    is_starting, is_closed = threading.Event(), threading.Event()

    class Started(threading.Event):
        """Is set by a thread that has a number, before it runs."""

        def set(self):
            is_starting.set()
            is_closed.wait()
            super().set()

    request = Request(manifest, SPEC, Order(len(manifest), SPEC.batch_size))
    pool = BatchPool(RowSource(), request, Turbo(num_threads=2), 2)
    pool._threads[0]._started = Started()
    with ThreadPoolExecutor() as threads:
        waiting = threads.submit(list, pool.batches())
        is_starting.wait()
        try:
            pool.close()
        finally:
            is_closed.set()
        with pytest.raises(LoaderError, match="this stream is closed"):
            waiting.result()


@pytest.mark.parametrize("prefetch", [0, 2])
def test_a_stream_closed_by_another_thread_ends_the_one_that_waits(manifest, prefetch):
    source = HeldUntilClosed()
    request = Request(manifest, SPEC, Order(len(manifest), SPEC.batch_size))
    settings = Turbo(num_threads=2, prefetch=prefetch)
    stream = pool_stream(source, request, settings, chunk=2, stop=source.is_closed.set)
    with ThreadPoolExecutor() as threads:
        waiting = threads.submit(list, stream)
        source.is_loading.wait()
        stream.close()
        with pytest.raises(LoaderError, match="this stream is closed"):
            waiting.result()


def test_reads_that_closing_cancels_are_no_unreadable_images(manifest):
    source = HeldUntilClosed(unreadable=range(len(manifest)))
    request = Request(manifest, SPEC, Order(len(manifest), SPEC.batch_size))
    stopped = threading.Event()

    def stop():  # a read fails at once, long before the threads have ended
        source.is_closed.set()
        stopped.wait(0.2)

    stream = pool_stream(source, request, Turbo(num_threads=1), chunk=2, stop=stop)
    with ThreadPoolExecutor() as threads:
        waiting = threads.submit(list, stream)
        source.is_loading.wait()
        stream.close()
        with pytest.raises(LoaderError, match="this stream is closed"):
            waiting.result()
    assert not stream.dropped


def test_a_batch_that_is_kept_is_not_overwritten(manifest):
    with stream_of(RowSource(), manifest, epochs=4, num_threads=2) as stream:
        kept = [next(stream) for _ in range(3)]
        for _ in islice(stream, 12):
            pass
        for batch in kept:
            assert (batch.images == batch.rows[:, None, None, None].astype(np.uint8)).all()


@pytest.mark.parametrize("prefetch", [0, 2])
def test_prefetch_is_the_number_of_batches_ahead(manifest, prefetch):
    source = RowSource()
    with stream_of(source, manifest, num_threads=2, prefetch=prefetch) as stream:
        next(stream)
        assert source.batches == 1 + prefetch
    if not prefetch:
        assert source.images == SPEC.batch_size


@pytest.mark.parametrize(
    ("prefetch", "threads", "chunk", "batch_size", "expected"),
    [(2, 2, 2, 32, 3), (2, 64, 2, 32, 8), (2, 64, 16, 8, 128), (0, 64, 2, 32, 1)],
)
def test_each_thread_has_two_pieces_of_work_unless_nothing_is_prefetched(
    prefetch, threads, chunk, batch_size, expected
):
    assert batches_ahead(prefetch, threads, chunk, batch_size) == expected


def test_more_batches_are_prepared_than_prefetch_names_if_threads_would_wait(manifest, way):
    source = RowSource()
    with stream_of(source, manifest, num_threads=16, prefetch=1) as stream:
        next(stream)
        # Threads that take their tasks in C take single images, others pieces of two.
        assert source.batches == (4 if way == "compiled" else 8)


def test_the_next_row_replaces_one_that_fails(manifest):
    source = RowSource(unreadable=[3, 4])
    with stream_of(source, manifest, on_error="skip", budget=0.1, num_threads=3) as stream:
        batches = list(stream)
        assert {error.row for error in stream.dropped} == {3, 4}
    rows = np.concatenate([batch.rows for batch in batches])
    assert len(rows) == 2 * len(manifest)
    assert not {3, 4} & set(rows.tolist())
    assert all((b.images == b.rows[:, None, None, None].astype(np.uint8)).all() for b in batches)


def test_only_the_rows_that_replace_others_are_looked_up_again(manifest):
    class Recording(RowSource):
        def __init__(self):
            super().__init__(unreadable=[3, 4])
            self.found = []

        def find(self, rows):
            self.found.extend(rows.tolist())
            return super().find(rows)

    source = Recording()
    with stream_of(
        source, manifest, epochs=1, on_error="skip", budget=0.1, num_threads=1, prefetch=0
    ) as stream:
        for _ in stream:
            pass
    assert len(source.found) == len(manifest) + 2


def test_more_failures_than_the_budget_end_the_run(manifest):
    source = RowSource(unreadable=range(20))
    with (
        stream_of(source, manifest, on_error="skip", budget=0.1) as stream,
        pytest.raises(BudgetError),
    ):
        list(stream)


@pytest.mark.parametrize("error", [None, MemoryError(), KeyboardInterrupt()])
def test_an_error_on_a_thread_reaches_the_consumer(manifest, error):
    source = RowSource(unreadable=[7], error=error)
    kind = ImageError if error is None else type(error)
    with stream_of(source, manifest) as stream, pytest.raises(kind):
        list(stream)


@pytest.mark.parametrize("asked", [0, 1])
def test_a_thread_without_memory_for_a_task_ends_the_wait_for_its_batch(
    manifest, monkeypatch, asked
):
    request = Request(manifest, SPEC, Order(len(manifest), SPEC.batch_size))
    pool = BatchPool(RowSource(), request, Turbo(num_threads=2), 2)
    take = type(pool._tasks.worker()).take
    times = iter(range(asked))

    def without_memory(worker):
        if next(times, None) is None:
            raise MemoryError
        return take(worker)

    monkeypatch.setattr(type(pool._tasks.worker()), "take", without_memory)
    with pytest.raises(MemoryError):
        list(pool.batches())
    pool.close()


def test_an_error_keeps_nothing_of_the_consumer_alive_once_the_stream_is_closed(manifest):
    class Model:
        pass

    def consume():
        model = Model()
        with stream_of(RowSource(unreadable=[7]), manifest) as stream, pytest.raises(ImageError):
            list(stream)
        return weakref.ref(model)

    model = consume()
    gc.collect()
    assert model() is None


def test_float32_batches_are_in_the_value_range(manifest):
    with stream_of(RowSource(), manifest, output="float32") as stream:
        batch = next(stream)
    assert batch.images.dtype == np.float32
    expected = batch.rows[:, None, None, None] / np.float32(255)
    assert np.allclose(batch.images, np.broadcast_to(expected, batch.images.shape))


def test_closing_ends_the_threads_and_then_frees_the_source(manifest):
    before, closed = set(threading.enumerate()), []
    request = Request(manifest, SPEC, Order(len(manifest), SPEC.batch_size))

    def close():  # in a thread of its own
        closed.append(set(threading.enumerate()) - before - {threading.current_thread()})

    stream = pool_stream(RowSource(), request, Turbo(num_threads=3), chunk=1, close=close)
    next(stream)
    assert len(set(threading.enumerate()) - before) == 3
    stream.close()
    assert closed == [set()]


@pytest.mark.parametrize("output", ["uint8", "float32"])
def test_batches_begin_where_tensorflow_can_share_their_memory(manifest, output):
    with stream_of(RowSource(), manifest, output=output) as stream:
        batches = list(islice(stream, 3))
    assert {batch.images.dtype.name for batch in batches} == {output}
    assert not any(batch.images.ctypes.data % 64 for batch in batches)
