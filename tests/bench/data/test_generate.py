"""The generated sample: its files are as large, as varied and as natural as the preset says."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from hashlib import sha256
from multiprocessing import active_children
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from PIL import Image

from feedbench.bench.data.generate import SPLITS, Preset, Sample, make_data
from feedbench.bench.errors import BenchError, SampleError
from feedbench.loaders.manifest import SPLITS as SCANNED_SPLITS

IMAGES = 100
# Width, height, bytes and bits a pixel.
MEANS: dict[Preset, tuple[float, float, float, float]] = {
    "imagenet": (468, 401, 110_000, 4.6),
    "web": (420, 520, 28_000, 1.0),
}
ENDLESS = """
import sys
from pathlib import Path
from feedbench.bench.data.generate import make_data
make_data(Path(sys.argv[1]), images=20_000, preset="web", seed=0)
"""


def files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def pixels_of(path: Path) -> Image.Image:
    """Decode all of it, so that half a file is an error."""
    with Image.open(path) as image:
        return image.convert("RGB")


def digests(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): sha256(path.read_bytes()).hexdigest()
        for path in files(folder)
    }


@pytest.fixture(scope="module", params=["imagenet", "web", "mixed"])
def made(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Preset, Path, Sample, list[int]]:
    out, steps = tmp_path_factory.mktemp(request.param) / "photos", list[int]()
    sample = make_data(out, images=IMAGES, preset=request.param, seed=3, advance=steps.append)
    return request.param, out, sample, steps


@pytest.fixture
def one_core() -> Iterator[None]:
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(cores)})
    yield
    os.sched_setaffinity(0, cores)


Made = tuple[Preset, Path, Sample, list[int]]


def test_means_are_within_a_tenth_of_the_preset(made: Made) -> None:
    preset, _, sample, _ = made
    found = (sample.mean_width, sample.mean_height, sample.mean_bytes, sample.bits_per_pixel)
    compared = 2 if preset == "mixed" else 4  # PNG is as large as it is
    wanted = MEANS["web" if preset == "mixed" else preset]
    assert found[:compared] == pytest.approx(wanted[:compared], rel=0.1)


def test_sample_tells_what_lies_on_disk(made: Made) -> None:
    _, out, sample, steps = made
    paths = files(out)
    pixels = sum(image.width * image.height for image in map(pixels_of, paths))
    size = sum(path.stat().st_size for path in paths)
    assert (sample.images, sample.classes, sample.bytes) == (len(paths), 10, size)
    assert sample.bits_per_pixel == pytest.approx(8 * size / pixels)
    assert len(paths) == sum(steps) == IMAGES
    assert len(steps) > 1


def test_each_class_is_split_80_10_10(made: Made) -> None:
    _, out, _, _ = made
    counts = Counter((path.parts[-3], path.parts[-2]) for path in files(out))
    names = [f"class_{label}" for label in range(10)]
    assert SPLITS == SCANNED_SPLITS
    assert counts == {
        (split, name): 8 if split == "train" else 1 for split in SPLITS for name in names
    }


def test_formats_are_those_of_the_preset(made: Made) -> None:
    preset, out, _, _ = made
    formats = Counter[tuple[str | None, str]]()
    for path in files(out):
        with Image.open(path) as image:
            formats[image.format, path.suffix] += 1
    mixed = {("JPEG", ".jpg"): 80, ("PNG", ".png"): 10, ("WEBP", ".webp"): 10}
    assert formats == (mixed if preset == "mixed" else {("JPEG", ".jpg"): IMAGES})


def test_sizes_and_orientations_vary(made: Made) -> None:
    _, out, _, _ = made
    sizes = [pixels_of(path).size for path in files(out)]
    wide = sum(width > height for width, height in sizes)
    assert len(set(sizes)) > IMAGES / 2
    assert 0 < wide < IMAGES


def test_spectrum_falls_as_in_photographs(made: Made) -> None:
    _, out, _, _ = made
    slopes = [spectrum_slope(path) for path in files(out)[::4]]
    assert -3 < np.mean(slopes) < -1.5


def spectrum_slope(path: Path) -> float:
    """Log power of luma against log frequency, 4 to 128 cycles in the middle 320 pixels."""
    image = pixels_of(path).convert("L")
    top, left = (image.height - 320) // 2, (image.width - 320) // 2
    luma = np.asarray(image, np.float32)[top : top + 320, left : left + 320]
    window = np.hanning(320)
    power = np.abs(np.fft.fft2((luma - luma.mean()) * window * window[:, None])) ** 2
    cycles = np.fft.fftfreq(320, 1 / 320)
    ring = np.hypot(cycles, cycles[:, None]).round().astype(int).ravel()
    radial = np.bincount(ring, power.ravel()) / np.bincount(ring)
    at = np.arange(4, 129)
    return float(np.polyfit(np.log(at), np.log(radial[at]), 1)[0])


@pytest.mark.usefixtures("one_core")
def test_bytes_do_not_depend_on_the_cores(made: Made, tmp_path: Path) -> None:
    preset, out, sample, _ = made
    assert make_data(tmp_path / "again", images=IMAGES, preset=preset, seed=3) == sample
    assert digests(tmp_path / "again") == digests(out)


def test_another_seed_gives_other_bytes(tmp_path: Path) -> None:
    for seed in (1, 2):
        make_data(tmp_path / str(seed), images=6, preset="web", seed=seed, classes=2)
    first, second = digests(tmp_path / "1"), digests(tmp_path / "2")
    assert first.keys() == second.keys()
    assert len({*first.values(), *second.values()}) == 12


def test_three_images_a_class_reach_each_split(tmp_path: Path) -> None:
    tmp_path.joinpath("empty").mkdir()
    sample = make_data(tmp_path / "empty", images=7, preset="web", seed=0, classes=2)
    folders = {path.parent for path in files(tmp_path)}
    assert sample.images == 7
    assert len(folders) == 6


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"images": 29}, "images must be at least 30 .* got 29; ask for more images"),
        ({"classes": 0}, "classes must be at least 1, got 0"),
        ({"seed": -1}, "seed must be at least 0, got -1"),
        ({"preset": "huge"}, "preset must be one of imagenet, web, mixed, got 'huge'"),
    ],
)
def test_a_wrong_argument_is_named_and_nothing_is_made(
    tmp_path: Path, change: dict[str, Any], text: str
) -> None:
    with pytest.raises(SampleError, match=text) as caught:
        make_data(tmp_path / "out", **{"images": 30, "preset": "web", "seed": 0, **change})
    assert "\n" not in str(caught.value)
    assert isinstance(caught.value, BenchError)
    assert not tmp_path.joinpath("out").exists()


def test_a_directory_with_files_is_left_as_it_is(tmp_path: Path) -> None:
    tmp_path.joinpath("mine.txt").write_text("keep")
    with pytest.raises(SampleError, match="not empty; name a new one"):
        make_data(tmp_path, images=30, preset="web", seed=0)
    assert files(tmp_path) == [tmp_path / "mine.txt"]


def test_a_parent_that_is_a_file_is_an_error(tmp_path: Path) -> None:
    tmp_path.joinpath("file").touch()
    with pytest.raises(SampleError, match=r"cannot be made \(Not a directory\); name one"):
        make_data(tmp_path / "file" / "out", images=30, preset="web", seed=0)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_parent_that_is_not_writable_is_an_error(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(SampleError, match=r"cannot be made \(Permission denied\); name one"):
        make_data(tmp_path / "out", images=30, preset="web", seed=0)


def test_a_folder_that_vanishes_ends_the_writing_with_an_error(tmp_path: Path) -> None:
    def vanish(_: int) -> None:
        if tmp_path.joinpath("out").exists():
            tmp_path.joinpath("out").rename(tmp_path / "moved")

    with pytest.raises(SampleError, match=r"writing stopped; remove .*: No such file"):
        make_data(tmp_path / "out", images=400, preset="web", seed=0, advance=vanish)


def test_a_killed_worker_ends_the_writing_with_an_error(tmp_path: Path) -> None:
    def kill(_: int) -> None:
        for worker in active_children():
            worker.kill()

    with pytest.raises(SampleError, match="a worker process was killed"):
        make_data(tmp_path / "out", images=400, preset="web", seed=0, advance=kill)


def wait_until(true: Callable[[], bool]) -> None:
    give_up = time.monotonic() + 20
    while not true():
        assert time.monotonic() < give_up
        time.sleep(0.05)


def gone(process: psutil.Process) -> bool:
    """Ended, though a container's first process may not have reaped it yet."""
    try:
        return bool(process.status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True


def interrupt_group(process: subprocess.Popen[str]) -> None:
    os.killpg(process.pid, signal.SIGINT)


@pytest.mark.parametrize(
    ("end", "files_first"),
    [(interrupt_group, False), (interrupt_group, True), (subprocess.Popen.kill, True)],
)
def test_ended_early_it_leaves_no_process_and_no_half_file(
    tmp_path: Path, end: Callable[[subprocess.Popen[str]], None], files_first: bool
) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", ENDLESS, str(tmp_path / "out")],
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    parent = psutil.Process(process.pid)
    wait_until(lambda: any(tmp_path.rglob("*.jpg")) if files_first else len(parent.children()) > 1)
    workers = parent.children(recursive=True)
    end(process)
    _, errors = process.communicate(timeout=120)
    assert len(workers) > 1
    wait_until(lambda: all(map(gone, workers)))
    assert process.returncode < 0
    assert errors.count("Traceback") == (end is interrupt_group)
    for path in tmp_path.rglob("*.jpg"):
        pixels_of(path)
