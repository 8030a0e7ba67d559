"""The batch size that fits: real children, real lack of memory."""

import json
import subprocess
import sys

import pytest

from feedbench.bench.cli import main
from feedbench.bench.errors import ChildDied, TrialError
from feedbench.bench.training.batch_size import (
    Measured,
    Tried,
    choose,
    complaints,
    outcome,
    sizes_between,
    try_sizes,
)
from feedbench.loaders import BatchSpec, scan
from feedbench.trainer import Recipe


def test_sizes_are_powers_of_two_and_sums_of_two_neighbours():
    assert sizes_between(64, 512) == [64, 96, 128, 192, 256, 384, 512]
    assert sizes_between(1, 6) == [1, 2, 3, 4, 6]
    assert sizes_between(65, 95) == []


def tried(size: int, rate: float, gigabytes: float) -> Tried:
    held = int(gigabytes * 1e9)
    return Tried(
        batch_size=size, fits=True, images_per_second=rate, host_bytes=held, device_bytes=held
    )


def test_the_largest_has_head_room_and_the_smallest_is_as_fast():
    all_tried = [
        tried(64, 900, 2),
        tried(96, 985, 3),
        tried(128, 1000, 5),
        tried(192, 990, 8.9),
        tried(256, 1200, 9.5),
        Tried(batch_size=384, fits=False, why="out of memory"),
    ]
    sizes = choose(all_tried, 10**10, True)
    assert (sizes.largest, sizes.smallest) == (192, 96)
    assert choose(all_tried[-1:], 10**10, True).largest is None


def test_an_allocators_warning_means_that_it_does_not_fit():
    answer = Measured(images_per_second=9.0, host_bytes=1, device_bytes=2)
    warning = "W bfc_allocator.cc:310] Allocator (GPU_0_bfc) ran out of memory trying to allocate"
    assert outcome(8, answer, "a line\n").fits
    warned = outcome(8, answer, f"a line\n{warning}\n")
    assert not warned.fits
    assert "ran out of memory" in (warned.why or "")
    assert warned.images_per_second == 9
    assert list(complaints("all is well\n")) == []


@pytest.mark.parametrize(
    ("error", "errors", "why"),
    [
        (TrialError("its own words"), "terminate: std::bad_alloc\n", "its own words"),
        (ChildDied("crashed: SIGABRT"), "terminate: std::bad_alloc\n", "terminate: std::bad_alloc"),
        (ChildDied("crashed: SIGSEGV"), "", "crashed: SIGSEGV"),
    ],
)
def test_why_a_size_does_not_fit(error, errors, why):
    assert outcome(8, error, errors) == Tried(batch_size=8, fits=False, why=why)


def test_a_size_that_takes_too_long_does_not_fit(tiny_photos):
    rows, recipe = scan(tiny_photos).only("train"), Recipe(alpha=0.35)
    spec = BatchSpec(image_size=96)
    options = {"seconds": 1e6, "time_limit": 1, "on_tried": lambda one: None}
    (tried,) = try_sizes(rows, spec, recipe, [4, 6], **options).tried
    assert not tried.fits
    assert tried.why == (
        "time limit: batch size 4 did not finish within 1 s; raise --time-limit if it is only slow"
    )


TRY = """
import json, sys
from feedbench.bench.training.batch_size import try_sizes
from feedbench.loaders import BatchSpec, scan
from feedbench.trainer import Recipe
rows, recipe = scan(sys.argv[1]).only("train"), Recipe(alpha=0.35)
told = try_sizes(rows, BatchSpec(image_size=96), recipe, [4, 32768, 49152], seconds=0.2,
                 time_limit=120, on_tried=lambda one: None)
print(told.model_dump_json())
"""


def test_sizes_are_tried_until_memory_is_short(tiny_photos):
    """The second size needs more address space than the shell allows."""
    command = ["bash", "-c", 'ulimit -v 9000000; exec "$@"', "-", sys.executable, "-c", TRY]
    done = subprocess.run([*command, tiny_photos], text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    sizes = json.loads(done.stdout)
    fits, fails = sizes["tried"]  # and none after the first that does not
    assert fits["fits"]
    assert fits["images_per_second"] > 0
    assert fits["host_bytes"] > 10**8
    assert not fails["fits"]
    assert any(words in fails["why"].lower() for words in ("memory", "alloc", "oom"))
    assert (sizes["largest"], sizes["smallest"], sizes["on_device"]) == (4, 4, False)


def test_no_size_between_the_bounds_is_said(monkeypatch, capsys, tiny_photos):
    monkeypatch.setattr(
        sys, "argv", ["feedbench", "batch-size", str(tiny_photos), "--min", "65", "--max", "95"]
    )
    with pytest.raises(SystemExit, match="2"):
        main()
    assert "widen them" in capsys.readouterr().err
