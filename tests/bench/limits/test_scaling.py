"""Known shares of the CPU time under locks and in single threads are found, and extrapolated."""

import json
import math
import os

import numpy as np
import pytest

from feedbench.bench.limits import sampling, scaling_run
from feedbench.bench.limits.limits import limits_plan
from feedbench.bench.limits.scaling import PYTHON, scaling_of
from feedbench.bench.limits.scaling_record import CONSUMER, CoreBlock, OnCores, ThreadSamples
from feedbench.bench.limits.scaling_run import CoresTiming, core_counts, run_on_cores, spread
from feedbench.bench.limits.scaling_table import scaling_parts
from feedbench.bench.plan.plan import Choice
from feedbench.bench.trials.bench import MANIFEST
from feedbench.loaders import scan

TWO_CORES = pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="needs two cores")
SIZES = {"image_size": 32, "batch_size": 8}

# Each image takes CPU time under Python's lock, under a lock of its own, and under none. What it
# took, by the clock of each thread, is written when the loader is closed.
INJECTED = """
import hashlib, json, os, queue, threading
from pathlib import Path
from time import thread_time

import numpy as np

DATA = bytes(1 << 22)  # it is without the lock for milliseconds, and takes it back rarely


def spin(until):
    while thread_time() < until:
        pass


def without_python(until):
    while thread_time() < until:
        hashlib.sha256(DATA)


def make_batches(batch_size, image_size, held_s=0.0, locked_s=0.0, free_s=0.0, truth=""):
    workers = len(os.sched_getaffinity(0))
    lock, ready, closed = threading.Lock(), queue.Queue(4), threading.Event()
    took = {"held": 0.0, "locked": 0.0, "all": 0.0}
    batch = np.zeros((batch_size, image_size, image_size, 3), np.uint8), np.zeros(batch_size)

    def work():
        parts = dict.fromkeys(took, 0.0)
        while not closed.is_set():
            for _ in range(batch_size):
                begin = thread_time()
                spin(begin + held_s)
                held = thread_time()
                with lock:
                    entered = thread_time()
                    without_python(entered + locked_s)
                    left = thread_time()
                without_python(left + free_s)
                parts["held"] += held - begin
                parts["locked"] += left - entered
                parts["all"] += thread_time() - begin
            ready.put(batch)
        for name, seconds in parts.items():
            took[name] += seconds

    threads = [threading.Thread(target=work) for _ in range(workers)]
    for thread in threads:
        thread.start()
    try:
        while True:
            yield ready.get()
    finally:
        closed.set()
        while any(thread.is_alive() for thread in threads):
            while not ready.empty():
                ready.get()
            threads[0].join(0.01)
        Path(f"{truth}-{workers}.json").write_text(json.dumps(took))
"""


@pytest.fixture
def measure(tmp_path, monkeypatch):
    """Measures a loader on one core and on two, in short blocks."""
    monkeypatch.setattr(scaling_run, "usable_cores", lambda: 2)

    def measured(photos, loader, settings, spec=SIZES, block_s=1.5):
        manifest = scan(photos).only("train")
        manifest.write(tmp_path / MANIFEST)
        choice = Choice(loader=str(loader), settings=settings)
        plan = limits_plan([Choice(loader="turbo")], spec, {})
        runs = list(run_on_cores(choice, plan, tmp_path, CoresTiming(1, block_s, 0.1)))
        return scaling_of(str(choice), runs)

    return measured


def allowed(share, samples):
    """How far a sampled share may be off: four standard errors, and a percentage point."""
    return 4 * math.sqrt(share * (1 - share) / samples) + 0.01


@pytest.mark.alone  # where others use the cores, each piece of Python costs more than was injected
@TWO_CORES
def test_injected_shares_are_found(class_folder, tmp_path, measure):
    pipeline = tmp_path / "injected.py"
    pipeline.write_text(INJECTED)
    seconds = {"held_s": 2e-3, "locked_s": 8e-3, "free_s": 3e-2}
    settings = seconds | {"truth": str(tmp_path / "truth")}
    found = measure(class_folder, f"{pipeline}:make_batches", settings, block_s=3)
    assert found.error is None
    took = json.loads((tmp_path / "truth-2.json").read_text())
    held, locked = took["held"] / took["all"], took["locked"] / took["all"]
    assert found.python.value == pytest.approx(held, abs=allowed(held, found.samples))
    assert found.locks.value == pytest.approx(locked, abs=allowed(locked, found.samples))
    serial = held + locked
    assert found.serial.value == pytest.approx(serial, abs=allowed(serial, found.samples) + 0.01)
    assert found.limited_by.startswith("a lock of injected.py:")
    assert found.stops_at == 1 / found.most_used.value


def on_cores(cores, threads, locks=None, rate=1000, others_cpu_s=0.0):
    """A run of 10 s that used as many cores as it had."""
    block = CoreBlock(seconds=10, images=10 * rate, cpu_s=10 * cores - others_cpu_s)
    return OnCores(
        cores=cores,
        blocks=[block],
        others_cpu_s=others_cpu_s,
        threads=threads,
        locks=locks or {},
    )


def threads(kind, at_once, free, python=0, locked=0, both=0):
    return ThreadSamples(
        kind=kind, at_once=at_once, free=free, python=python, locked=locked, both=both
    )


def test_the_most_used_resource_bounds_the_rate():
    one = on_cores(1, [threads("pool-N", 1, 96_000, python=3_000, both=1_000)])
    two = on_cores(
        2, [threads("pool-N", 2, 96_000, python=3_000, both=1_000)], {"pool.py:3": 1_000}, 2000
    )
    found = scaling_of("some", [one, two])
    assert found.serial.value == pytest.approx(0.04)
    assert (found.limited_by, found.most_used.value) == (PYTHON, pytest.approx(0.04))
    assert found.stops_at == pytest.approx(25)
    rates = {rate.cores: rate for rate in found.rates}
    # 1 ms per image: at most 25 times a core's rate, and at least what Amdahl's law gives.
    assert rates[64].high == pytest.approx(25_000, rel=0.05)
    assert rates[64].low == pytest.approx(64_000 / (1 + 63 * 0.04), rel=0.05)
    assert rates[16].high == pytest.approx(16_000, rel=0.05)
    assert all(rate.low <= rate.high for rate in found.rates)


def test_a_thread_that_does_all_of_some_work_counts_on_any_number_of_cores():
    one = on_cores(1, [threads("pool-N", 1, 9_000), threads("copies", 1, 1_000)])
    two = on_cores(2, [threads("pool-N", 2, 9_000), threads("copies", 1, 1_000)])
    found = scaling_of("some", [one, two])
    assert found.threads.value == found.serial.value == pytest.approx(0.1)
    assert found.limited_by == "the thread copies"


def test_a_thread_that_shares_its_work_with_new_ones_is_no_bottleneck():
    one = on_cores(1, [threads(CONSUMER, 1, 10_000)])
    two = on_cores(2, [threads(CONSUMER, 1, 5_000), threads("helper", 1, 5_000)])
    assert scaling_of("some", [one, two]).serial.value == pytest.approx(0, abs=0.001)


def test_a_loader_without_threads_stops_at_one_core():
    runs = [on_cores(cores, [threads(CONSUMER, 1, 5_000, python=5_000)]) for cores in (1, 2)]
    found = scaling_of("some", runs)
    assert found.serial.value == 1
    assert found.stops_at == 1
    assert found.limited_by == "the thread that takes the batches"
    assert {rate.low for rate in found.rates} == {1000}


def test_a_pool_that_does_not_grow_is_its_own_limit():
    runs = [on_cores(n, [threads("worker-N", 3, 9_000)], rate=1000 * n) for n in (1, 2)]
    found = scaling_of("some", runs)
    assert found.stops_at == pytest.approx(3)
    # Its threads work side by side: the share of one counts, and not of all.
    assert found.threads.value == found.serial.value == pytest.approx(1 / 3)
    low = {rate.cores: rate.low for rate in found.rates}[4]
    assert low == pytest.approx(4000 / (1 + 3 / 3), rel=0.01)


def test_processes_of_a_loader_count_as_parallel():
    runs = [
        on_cores(cores, [threads(CONSUMER, 1, 500, python=500)], others_cpu_s=9 * cores)
        for cores in (1, 2)
    ]
    assert scaling_of("some", runs).serial.value == pytest.approx(0.1)


def test_measured_rates_stand_beside_the_extrapolated(printed):
    runs = [on_cores(n, [threads("pool-N", n, 10_000)], rate=1000 * n) for n in (1, 2, 4, 8)]
    found = scaling_of("some", runs)
    assert [rate.cores for rate in found.rates if rate.measured] == [4, 8]
    text = printed(*scaling_parts([found]))
    assert "Measured, and extrapolated from two cores" in text
    assert "8,000" in text


class StoppedWithinASample:
    """Takes the place of the compiled module: has one sample, and one that is not written yet."""

    start = staticmethod(lambda most: None)
    watch = staticmethod(lambda thread: True)
    hold = staticmethod(lambda lock: 0)
    let_go = staticmethod(lambda place: None)
    stop = staticmethod(lambda: np.array([[os.getpid(), 1], [0, 0]], np.int32).tobytes())


def test_a_sample_that_is_being_written_when_sampling_ends_is_left_out(monkeypatch):
    monkeypatch.setattr(sampling, "compiled_module", StoppedWithinASample)
    with sampling.Sampler() as sampler:
        sampler.start()
        found = sampler.stop()
    assert [(one.kind, one.python, one.samples) for one in found.threads] == [(CONSUMER, 1, 1)]


def test_a_failure_is_named_and_the_rest_is_printed(printed):
    runs = [on_cores(1, [threads("pool-N", 1, 10)]), OnCores(cores=2, error="out of memory")]
    scaling = [scaling_of("broken", runs), scaling_of("late", runs[:1])]
    text = printed(*scaling_parts(scaling))
    assert "out of memory" in text
    assert "interrupted before it was measured" in text


def test_a_run_that_ended_without_samples_is_not_called_interrupted():
    block = CoreBlock(seconds=0.5, images=8, cpu_s=0.0004)
    runs = [on_cores(1, [threads("pool-N", 1, 10)]), OnCores(cores=2, blocks=[block, block])]
    assert scaling_of("idle", runs).error == (
        "no sample on 2 cores: its own process used 0.0008 s of CPU time in 1 s; give longer "
        "blocks with --block-seconds"
    )


@pytest.mark.parametrize("width", [80, 200])
def test_the_tables_fit_into_the_terminal(printed, width):
    runs = [on_cores(n, [threads("pool-N", n, 9_900, python=100)], rate=1000 * n) for n in (1, 2)]
    text = printed(*scaling_parts([scaling_of("turbo decode=scaled", runs)]), width=width)
    assert "1.0%" in text
    assert max(map(len, text.splitlines())) <= width


@pytest.mark.parametrize(
    ("cores", "counts"),
    [(1, [1]), (2, [1, 2]), (4, [1, 2]), (6, [1, 2, 4, 6]), (16, [1, 2, 4, 8, 16])],
)
def test_many_cores_are_measured_in_steps(cores, counts):
    assert core_counts(cores) == counts


def test_hyperthreads_come_after_all_cores(tmp_path, monkeypatch):
    monkeypatch.setattr(scaling_run, "_CPUS", tmp_path)
    for cpu in range(4):
        folder = tmp_path / f"cpu{cpu}" / "topology"
        folder.mkdir(parents=True)
        first = cpu - cpu % 2
        (folder / "thread_siblings_list").write_text(f"{first}-{first + 1}\n")
    assert spread({0, 1, 2, 3}) == [0, 2, 1, 3]
