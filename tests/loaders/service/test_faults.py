"""Kills and restarts: the batches stay those of the order, or the run ends with one line."""

import os
import signal
import subprocess
import sys
import time
from itertools import islice

import numpy as np
import psutil
import pytest

from feedbench.loaders import BatchSpec, LoaderError, Order, WorkerError, open_loader

pytestmark = [pytest.mark.beyond, pytest.mark.timeout(300)]
SPEC = BatchSpec(batch_size=2, image_size=32, seed=3)
MOST = 400  # batches: some twenty epochs


def expected(manifest, begin, count):
    order = Order(len(manifest), SPEC.batch_size, seed=SPEC.seed)
    return order.rows(begin * SPEC.batch_size, (begin + count) * SPEC.batch_size).tolist()


def check_rest(stream, manifest, begin, count=MOST):
    """Check that the next batches are those of the order, with their own images."""
    rows = np.concatenate([batch.rows for batch in islice(stream, count)]).tolist()
    assert rows == expected(manifest, begin, count)


def worker(servers, name, dispatcher, address="127.0.0.1:0"):
    return servers.start(name, "--worker", address, "--of", dispatcher)


def opened(manifest, dispatcher, **settings):
    settings = {"service": dispatcher, "timeout": 60, **settings}
    return open_loader("tf_data_service", manifest, SPEC, settings)


@pytest.fixture
def dispatcher(servers):
    return servers.start("dispatcher", "--dispatcher", "127.0.0.1:0")


def test_a_killed_worker_loses_no_row(servers, dispatcher, manifest):
    worker(servers, "one", dispatcher)
    with opened(manifest, dispatcher) as stream:
        check_rest(stream, manifest, 0, 20)  # all from the first, which has begun more
        worker(servers, "two", dispatcher)
        check_rest(stream, manifest, 20, 20)
        servers.end("one")
        check_rest(stream, manifest, 40)
        assert 0 < stream.losses().asked_again < MOST


def test_a_worker_that_is_added_takes_part_and_changes_nothing(servers, dispatcher, manifest):
    worker(servers, "one", dispatcher)
    with opened(manifest, dispatcher) as stream:
        check_rest(stream, manifest, 0, 40)
        worker(servers, "two", dispatcher)
        servers.end("one")
        check_rest(stream, manifest, 40)


def test_a_worker_that_is_restarted_goes_on(servers, dispatcher, manifest):
    address = worker(servers, "one", dispatcher)
    with opened(manifest, dispatcher) as stream:
        check_rest(stream, manifest, 0, 40)
        servers.end("one")
        worker(servers, "again", dispatcher, address)
        check_rest(stream, manifest, 40)


def test_without_any_worker_it_ends_with_one_line(servers, dispatcher, manifest):
    worker(servers, "one", dispatcher)
    with opened(manifest, dispatcher, timeout=12) as stream:
        next(stream)
        servers.end("one")
        with pytest.raises(LoaderError, match="none of its 1 registered workers does") as error:
            list(islice(stream, 99_999))
    assert "\n" not in str(error.value)


def test_the_only_worker_that_hangs_ends_it_with_one_line(servers, dispatcher, manifest):
    worker(servers, "one", dispatcher)
    with opened(manifest, dispatcher, timeout=12) as stream:
        next(stream)
        servers.processes["one"].send_signal(signal.SIGSTOP)
        with pytest.raises(LoaderError, match=r"1 of its 1 registered workers can be") as error:
            list(islice(stream, 99_999))
    assert "\n" not in str(error.value)


def test_without_its_dispatcher_it_ends_with_one_line(servers, dispatcher, manifest):
    worker(servers, "one", dispatcher)
    with opened(manifest, dispatcher, timeout=12) as stream:
        next(stream)
        servers.end("dispatcher")
        with pytest.raises(LoaderError, match="no dispatcher of the") as error:
            list(islice(stream, 99_999))
        begin = time.monotonic()
    assert "\n" not in str(error.value)
    assert time.monotonic() - begin < 30


@pytest.mark.parametrize("journal", [True, False], ids=["with a journal", "without"])
def test_a_restarted_dispatcher_is_found_again(servers, manifest, tmp_path, journal):
    kept = ["--journal", tmp_path / "journal"] if journal else []
    dispatcher = servers.start("dispatcher", "--dispatcher", "127.0.0.1:0", *kept)
    worker(servers, "one", dispatcher)
    with opened(manifest, dispatcher, timeout=60) as stream:
        check_rest(stream, manifest, 0, 40)
        servers.end("dispatcher")
        servers.start("dispatcher", "--dispatcher", dispatcher, *kept)
        check_rest(stream, manifest, 40)


def test_trainers_that_share_a_job_end_when_its_dispatcher_has_lost_it(servers, manifest):
    dispatcher = servers.start("dispatcher", "--dispatcher", "127.0.0.1:0")
    worker(servers, "one", dispatcher)
    shared = {"service": dispatcher, "timeout": 30, "job_name": "shared"}
    with (
        open_loader("tf_data_service", manifest, SPEC, shared, epochs=50) as one,
        open_loader("tf_data_service", manifest, SPEC, shared, epochs=50) as other,
    ):
        next(one), next(other)
        servers.end("dispatcher")
        servers.start("dispatcher", "--dispatcher", dispatcher)
        for stream in (one, other):
            with pytest.raises(LoaderError, match="lost which rows it had given") as error:
                list(stream)
            assert "\n" not in str(error.value)


def own_workers():
    return [one for one in psutil.Process().children(recursive=True) if is_worker(one)]


def is_worker(process):
    try:
        return any("feedbench.loaders.service.worker" in word for word in process.cmdline())
    except psutil.Error:
        return False


@pytest.mark.spawned
def test_one_of_its_own_workers_may_be_killed_and_the_last_may_not(manifest):
    with open_loader("tf_data_service", manifest, SPEC, {"workers": 2}) as stream:
        check_rest(stream, manifest, 0, 40)
        one, other = own_workers()
        one.kill()
        check_rest(stream, manifest, 40)
        assert "SIGKILL" in stream.losses().ended_workers[0]
        other.kill()
        with pytest.raises(WorkerError, match="SIGKILL, and no other worker is left"):
            list(islice(stream, 99_999))


TRAINER = """
import sys, time
from feedbench.loaders import BatchSpec, open_loader, scan
manifest = scan(sys.argv[1]).only("train")
with open_loader("tf_data_service", manifest, BatchSpec(batch_size=2, image_size=32)) as stream:
    next(stream)
    print("fed", flush=True)
    time.sleep(600)
"""


@pytest.mark.spawned
@pytest.mark.parametrize("stopped", [False, True], ids=["running", "stopped"])
def test_nothing_stays_of_a_trainer_that_is_killed(splits_folder, stopped):
    command = [sys.executable, "-c", TRAINER, str(splits_folder)]
    trainer = subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True)
    assert trainer.stdout.readline() == b"fed\n"
    below = psutil.Process(trainer.pid).children(recursive=True)
    assert below
    if stopped:
        os.killpg(trainer.pid, signal.SIGSTOP)
    os.kill(trainer.pid, signal.SIGKILL)
    trainer.communicate()
    _, alive = psutil.wait_procs(below, timeout=120)
    assert not alive


def test_ctrl_c_and_sigterm_stop_a_server_and_free_its_port(servers, dispatcher):
    code, errors = servers.end("dispatcher", signal.SIGINT)
    assert (code, errors.splitlines()[-1]) == (130, "feedbench: stopped")
    servers.start("dispatcher", "--dispatcher", dispatcher)
    code, errors = servers.end("dispatcher", signal.SIGTERM)
    assert (code, errors.splitlines()[-1]) == (143, "feedbench: stopped")
