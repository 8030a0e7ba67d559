"""Batch sizes are tried in real processes, one of which really runs out of memory."""

import json
import subprocess
import sys

import pytest

from feedbench.bench.cli import main
from feedbench.bench.errors import ChildDied, TrialError
from feedbench.bench.training.batch_size import (
    Measurement,
    Memory,
    SizeResult,
    _predict_failure,
    memory_warnings,
    recommend,
    size_result,
    sizes_between,
    try_sizes,
)
from feedbench.loaders import BatchSpec, scan
from feedbench.trainer import Recipe


def test_sizes_are_powers_of_two_and_sums_of_two_neighbours():
    assert sizes_between(64, 512) == [64, 96, 128, 192, 256, 384, 512]
    assert sizes_between(1, 6) == [1, 2, 3, 4, 6]
    assert sizes_between(65, 95) == []


def fitting(size: int, rate: float, gigabytes: float) -> SizeResult:
    used = int(gigabytes * 1e9)
    return SizeResult(
        batch_size=size,
        fits=True,
        images_per_second=rate,
        low=rate - 10,
        high=rate + 10,
        host_bytes=used,
        device_bytes=used,
    )


def test_the_largest_leaves_memory_free_and_the_smallest_is_nearly_as_fast():
    results = [
        fitting(64, 900, 2),
        fitting(96, 975, 3),  # its interval reaches 98 % of the best
        fitting(128, 1000, 5),
        fitting(192, 990, 8.9),
        fitting(256, 1200, 9.5),
        SizeResult(batch_size=384, fits=False, why="out of memory"),
    ]
    gpu = Memory(10**10, on_device=True)
    sizes = recommend(results, gpu)
    assert (sizes.largest, sizes.smallest) == (192, 96)
    assert recommend(results[-1:], gpu).largest is None


def test_a_size_fails_without_a_trial_if_host_memory_would_not_suffice():
    results = [fitting(64, 900, 2), fitting(96, 985, 3)]  # 1 GB per 32 images
    host = Memory(4 * 10**9, on_device=False)
    assert _predict_failure(results, 128, host) is None
    failure = _predict_failure(results, 192, host)
    assert failure is not None
    assert failure.why == "not tried: it would need about 6.0 GB, but only 4.0 GB are available"
    assert _predict_failure(results[:1], 192, host) is None
    assert _predict_failure(results, 192, Memory(4 * 10**9, on_device=True)) is None


def test_a_size_with_an_allocators_warning_does_not_fit():
    answer = Measurement(rates=[8.0, 9.0, 12.0], host_bytes=1, device_bytes=2)
    warning = "W bfc_allocator.cc:310] Allocator (GPU_0_bfc) ran out of memory trying to allocate"
    assert size_result(8, answer, "a line\n").fits
    result = size_result(8, answer, f"a line\n{warning}\n")
    assert not result.fits
    assert "ran out of memory" in (result.why or "")
    assert (result.low, result.images_per_second, result.high) == (8, 9, 12)
    assert list(memory_warnings("all is well\n")) == []


@pytest.mark.parametrize(
    ("error", "stderr", "why"),
    [
        (TrialError("out of time"), "terminate: std::bad_alloc\n", "out of time"),
        (ChildDied("crashed: SIGABRT"), "terminate: std::bad_alloc\n", "terminate: std::bad_alloc"),
        (ChildDied("crashed: SIGSEGV"), "", "crashed: SIGSEGV"),
    ],
)
def test_the_reason_for_a_failure_is_the_best_known_one(error, stderr, why):
    assert size_result(8, error, stderr) == SizeResult(batch_size=8, fits=False, why=why)


def test_a_size_that_takes_too_long_does_not_fit(tiny_photos):
    rows, recipe = scan(tiny_photos).only("train"), Recipe(network="MobileNet", alpha=0.25)
    spec = BatchSpec(image_size=32)
    options = {"seconds": 1e6, "time_limit": 1, "on_result": lambda result: None}
    (result,) = try_sizes(rows, spec, recipe, [4, 6], **options).tried
    assert not result.fits
    assert result.why == ("time limit: batch size 4 did not finish within 1 s")


TRY = """
import json, sys
from feedbench.bench.training.batch_size import try_sizes
from feedbench.loaders import BatchSpec, scan
from feedbench.trainer import Recipe
rows, recipe = scan(sys.argv[1]).only("train"), Recipe(network="MobileNet", alpha=0.25)
sizes = try_sizes(rows, BatchSpec(image_size=32), recipe, [4, 4_000_000, 8_000_000], seconds=0.2,
                  time_limit=120, on_result=lambda result: None)
print(sizes.model_dump_json())
"""


def test_sizes_are_tried_until_memory_is_short(tiny_photos):
    """The second size needs more address space than the shell allows."""
    command = ["bash", "-c", 'ulimit -v 9000000; exec "$@"', "-", sys.executable, "-c", TRY]
    done = subprocess.run([*command, tiny_photos], text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    sizes = json.loads(done.stdout)
    assert len(sizes["tried"]) == 2, sizes  # none is tried after the first that does not fit
    fits, fails = sizes["tried"]
    assert fits["fits"]
    assert 0 < fits["low"] <= fits["images_per_second"] <= fits["high"]
    assert fits["host_bytes"] > 10**8
    assert not fails["fits"]
    assert any(words in fails["why"].lower() for words in ("memory", "alloc", "oom"))
    assert (sizes["largest"], sizes["smallest"], sizes["on_device"]) == (4, 4, False)


def test_bounds_without_a_size_between_them_are_refused(monkeypatch, capsys, tiny_photos):
    monkeypatch.setattr(
        sys, "argv", ["feedbench", "batch-size", str(tiny_photos), "--min", "65", "--max", "95"]
    )
    with pytest.raises(SystemExit, match="2"):
        main()
    assert "widen the range" in capsys.readouterr().err
