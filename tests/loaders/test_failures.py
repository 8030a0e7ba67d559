"""A file that fails during a run is named, or dropped within a budget; never a hang."""

import multiprocessing
import os
import resource
import shutil
import signal
import time
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import psutil
import pytest

from feedbench.loaders import (
    BatchSpec,
    BudgetError,
    ImageError,
    LoaderError,
    Order,
    SettingsError,
    WorkerError,
    open_loader,
    scan,
    tf_stream,
)
from feedbench.loaders.faults import Faults, Tolerance

SPEC = BatchSpec(batch_size=4, image_size=16, seed=3)
VARIANTS = [
    ("keras_pil", {}),
    ("keras_pil", {"workers": 2, "max_queue_size": 2}),
    ("keras_pil", {"workers": 2, "use_multiprocessing": True, "max_queue_size": 2}),
    ("keras_directory", {}),
    ("tf_data", {}),
    ("tf_data", {"cache": "decoded"}),
    ("tf_data", {"cache": "encoded", "prefetch": 0}),
    ("tf_data", {"deterministic": False}),
    ("turbo", {}),
    ("turbo", {"num_threads": 1, "prefetch": 0}),
    ("turbo", {"cache": "decoded"}),
    ("torch", {"num_workers": 0}),
    ("torch", {"num_workers": 2, "decoder": "opencv"}),
    ("hf_datasets", {"num_workers": 2, "decoder": "simplejpeg"}),
]
IN_ORDER = [
    (name, settings)
    for name, settings in VARIANTS
    if name != "keras_directory" and "deterministic" not in settings
]


@pytest.fixture
def photos(class_folder, tmp_path):
    return shutil.copytree(class_folder, tmp_path / "photos")


def truncate_during_the_run(stream, manifest, victims):
    """Truncate files after a sixth of the first epoch; the rows of all batches."""
    rows = [next(stream).rows for _ in range(2)]
    for victim in victims:
        path = manifest.path(victim)
        with open(path, "r+b") as file:  # noqa: PTH123
            file.truncate(300)
    rows += [batch.rows for batch in stream]
    return rows


FIFO_VARIANTS = [
    ("keras_pil", {}),
    ("keras_pil", {"workers": 2, "use_multiprocessing": True, "max_queue_size": 2}),
    ("keras_directory", {}),
    ("tf_data", {}),
    ("turbo", {}),
    ("torch", {"num_workers": 2}),
    ("hf_datasets", {"num_workers": 0}),
]


@pytest.mark.parametrize(("name", "settings"), FIFO_VARIANTS, ids=str)
def test_a_file_replaced_by_a_fifo_is_dropped_and_named(photos, monkeypatch, name, settings):
    monkeypatch.setattr("feedbench.loaders.fifos.STALL_S", 0.3)
    manifest = scan(photos, validation=0, test=0)
    with open_loader(
        name, manifest, SPEC, settings, epochs=3, on_error="skip", error_budget=0.1
    ) as stream:
        next(stream)
        path = manifest.path(7)
        os.unlink(path)  # noqa: PTH108
        os.mkfifo(path)
        left = sum(len(batch.rows) for batch in stream)
        dropped = [(fault.row, fault.reason) for fault in stream.dropped]
    assert dropped == [(7, "not a regular file")]
    assert left == 3 * len(manifest) - SPEC.batch_size


@pytest.mark.parametrize("name", ["tf_data", "keras_directory"])
def test_a_stream_closes_while_reads_of_fifos_wait(photos, monkeypatch, name):
    monkeypatch.setattr("feedbench.loaders.fifos.STALL_S", 0.3)
    manifest = scan(photos, validation=0, test=0)
    with open_loader(name, manifest, SPEC) as stream:
        for row in range(len(manifest)):
            os.unlink(manifest.path(row))  # noqa: PTH108
            os.mkfifo(manifest.path(row))
        with pytest.raises(ImageError, match="not a regular file"):
            list(stream)


def last_rows(manifest, count, name):
    """Rows that no loader has read ahead after the first batches."""
    if name == "keras_directory":
        return None
    rows = Order(len(manifest), SPEC.batch_size, seed=SPEC.seed).rows(0, len(manifest))
    return rows[-count:].tolist()


@pytest.mark.parametrize(("name", "settings"), VARIANTS, ids=str)
def test_a_file_truncated_during_an_epoch_is_dropped_and_named(photos, name, settings):
    manifest = scan(photos, validation=0, test=0)
    victims = last_rows(manifest, 2, name) or [7, 30]
    with open_loader(
        name, manifest, SPEC, settings, epochs=3, on_error="skip", error_budget=0.1
    ) as stream:
        rows = truncate_during_the_run(stream, manifest, victims)
        dropped = {fault.row: fault for fault in stream.dropped}
    assert set(dropped) == set(victims)
    for row, fault in dropped.items():
        assert fault.path == manifest.path(row)
        assert fault.decoder in ("Pillow", "TensorFlow")  # opencv and simplejpeg leave it to Pillow
    read = np.concatenate(rows)
    assert len(read) == 3 * len(manifest)  # as many as without the fault
    good = np.setdiff1d(np.arange(len(manifest)), victims)
    assert (np.bincount(read, minlength=len(manifest))[good] >= 3).all()
    counted = np.bincount(read, minlength=len(manifest))
    assert (counted[victims] <= 1).all()  # keras_directory may have read one before the cut
    if name != "keras_directory":
        assert {len(batch) for batch in rows[:-1]} == {SPEC.batch_size}


@pytest.mark.parametrize(("name", "settings"), VARIANTS, ids=str)
def test_a_file_truncated_during_an_epoch_ends_the_run_and_is_named(photos, name, settings):
    manifest = scan(photos, validation=0, test=0)
    victims = last_rows(manifest, 1, name) or [30]
    with (
        open_loader(name, manifest, SPEC, settings, epochs=3) as stream,
        pytest.raises(ImageError) as raised,
    ):
        truncate_during_the_run(stream, manifest, victims)
    text = str(raised.value)
    assert text.startswith(f"{manifest.path(victims[0])}: row {victims[0]}: ")
    assert "\n" not in text


def replaced_by_a_folder(path):
    Path(path).unlink()
    Path(path).mkdir()


@pytest.mark.parametrize("change", [os.unlink, replaced_by_a_folder], ids=["gone", "a folder"])
@pytest.mark.parametrize("name", ["keras_pil", "keras_directory", "tf_data", "turbo"])
def test_a_file_that_is_gone_during_an_epoch_is_named(photos, name, change):
    manifest = scan(photos, validation=0, test=0)
    (row,) = last_rows(manifest, 1, name) or [30]
    with open_loader(name, manifest, SPEC, epochs=3) as stream:
        next(stream)
        change(manifest.path(row))
        with pytest.raises(ImageError) as raised:
            list(stream)
    assert str(raised.value).startswith(f"{manifest.path(row)}: row {row}: ")
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(("name", "settings"), VARIANTS, ids=str)
def test_a_failure_in_the_places_of_several_others_counts_once(photos, name, settings):
    manifest = scan(photos, validation=0, test=0)
    for row in range(5):
        with open(manifest.path(row), "wb"):  # noqa: PTH123
            pass
    spec = SPEC.model_copy(update={"shuffle": False})
    with open_loader(
        name, manifest, spec, settings, epochs=1, on_error="skip", error_budget=5 / 45
    ) as stream:
        list(stream)
        assert sorted(fault.row for fault in stream.dropped) == list(range(5))


@pytest.mark.parametrize(("name", "settings"), VARIANTS, ids=str)
def test_more_failures_than_the_budget_end_the_run(photos, name, settings):
    manifest = scan(photos, validation=0, test=0)
    for row in range(10, 20):
        with open(manifest.path(row), "wb"):  # noqa: PTH123
            pass
    with (
        open_loader(
            name, manifest, SPEC, settings, epochs=1, on_error="skip", error_budget=0.1
        ) as stream,
        pytest.raises(BudgetError, match=r"more than the 10\.00% that --error-budget allows"),
    ):
        list(stream)


@pytest.mark.parametrize(("name", "settings"), IN_ORDER, ids=str)
def test_a_dropped_file_is_replaced_by_the_next_row_of_the_order(photos, name, settings):
    manifest = scan(photos, validation=0, test=0)
    for row in (3, 4, 21):
        with open(manifest.path(row), "wb"):  # noqa: PTH123
            pass
    with open_loader(
        name, manifest, SPEC, settings, epochs=2, on_error="skip", error_budget=0.1
    ) as stream:
        rows = np.concatenate([batch.rows for batch in stream])
    order = Order(len(manifest), SPEC.batch_size, seed=SPEC.seed).without((3, 4, 21))
    assert rows.tolist() == order.rows(0, 2 * len(manifest)).tolist()


@pytest.mark.parametrize(("name", "settings"), VARIANTS, ids=str)
def test_a_resumed_stream_leaves_out_dropped_images(photos, name, settings):
    manifest = scan(photos, validation=0, test=0)
    for row in (3, 4, 21):
        with open(manifest.path(row), "wb"):  # noqa: PTH123
            pass
    options = {"epochs": 2, "on_error": "skip", "error_budget": 0.1}
    with open_loader(name, manifest, SPEC, settings, **options) as stream:
        whole = [batch.rows.tolist() for batch in stream]
        dropped = stream.dropped
    with open_loader(
        name, manifest, SPEC, settings, epochs=2, start_step=5, dropped=dropped
    ) as stream:  # on_error is raise: none of them may be tried again
        resumed = [batch.rows.tolist() for batch in stream]
        assert {fault.row for fault in stream.dropped} == {3, 4, 21}
    if name == "keras_directory" or "deterministic" in settings:
        assert not {3, 4, 21} & set(np.concatenate(resumed).tolist())
    else:
        assert resumed == whole[5:]
    if dropped:
        with (
            pytest.raises(BudgetError),
            open_loader(
                name,
                manifest,
                SPEC,
                settings,
                epochs=1,
                on_error="skip",
                error_budget=0.05,
                dropped=dropped[:2],
            ) as stream,
        ):
            list(stream)


@contextmanager
def no_more_open_files():
    """No file can be opened in the body; those that are open stay so."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.parametrize("name", ["keras_pil", "tf_data", "turbo"])
def test_a_limit_of_open_files_ends_the_run_and_drops_no_image(photos, name):
    manifest = scan(photos, validation=0, test=0)
    with open_loader(name, manifest, SPEC, on_error="skip", error_budget=1) as stream:
        next(stream)
        with no_more_open_files(), pytest.raises(LoaderError) as raised:
            list(stream)
        assert stream.dropped == ()
    assert str(raised.value).startswith(f"{manifest.root}/")
    assert str(raised.value).endswith(
        ".jpg: Too many open files; raise the limit, for example with ulimit -n 4096"
    )


def test_a_killed_worker_process_ends_the_run_and_leaves_no_processes(photos):
    manifest = scan(photos, validation=0, test=0)
    settings = {"workers": 2, "use_multiprocessing": True, "max_queue_size": 2}
    before = set(psutil.Process().children(recursive=True))
    stream = open_loader("keras_pil", manifest, SPEC, settings)
    next(stream)
    started = set(psutil.Process().children(recursive=True)) - before
    worker, *_ = [one for one in started if "resource_tracker" not in " ".join(one.cmdline())]
    os.kill(worker.pid, signal.SIGKILL)
    # Until Python knows: the pool's thread may have its exit code, and wait for the lock to tell.
    while worker.pid in {process.pid for process in multiprocessing.active_children()}:
        time.sleep(0.01)
    queued = settings["max_queue_size"]
    with pytest.raises(WorkerError, match="SIGKILL"):
        list(islice(stream, queued + 1))
    stream.close()
    left = set(psutil.Process().children(recursive=True)) - before
    assert all("resource_tracker" in " ".join(process.cmdline()) for process in left)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"on_error": "ignore"}, "on_error must be raise or skip"),
        ({"error_budget": 2}, "must be from 0 to 1"),
    ],
)
def test_an_invalid_error_policy_is_named(photos, values, message):
    with pytest.raises(SettingsError, match=message):
        open_loader("tf_data", scan(photos), SPEC, **values)


class _Tensor:
    def __init__(self, values):
        self.values = np.array(values)

    def numpy(self):
        return self.values


def test_rows_that_are_outstanding_still_come_after_a_second_file_fails(monkeypatch):
    order = Order(40, 4, shuffle=False, epochs=1)
    faults = Faults(Tolerance(skip=True, budget=1, images=40))
    request = SimpleNamespace(
        order=order, faults=faults, manifest=None, batch=lambda images, rows, draws: rows
    )
    delivery = tf_stream._Delivery(request, None, deterministic=False)
    early = {name: _Tensor([0, 1, 2, 9]) for name in ("row", "image", "draws")}
    rows = delivery.batch(early).tolist()  # 9 has overtaken 3
    for bad in (5, 6):
        monkeypatch.setattr(
            tf_stream, "_first_unreadable", lambda *_, bad=bad: [ImageError("a", bad, "x", "y")]
        )
        delivery.restart_after(None)
    for chunk in delivery.order.chunks(4):
        rows += delivery.order.rows(*chunk).tolist()
    assert set(rows) == set(range(40)) - {5, 6}
    assert len(rows) == 40
    assert rows.count(9) == 1
