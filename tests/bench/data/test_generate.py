"""Generated images match their preset in size, bytes, variety and spectrum."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from hashlib import sha256
from multiprocessing import active_children
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import psutil
import pytest
from PIL import Image

from feedbench.bench.data.generate import SPLITS, GeneratedImages, PresetName, make_data
from feedbench.bench.errors import BenchError, SampleError
from feedbench.loaders.manifest import SPLITS as SCANNED_SPLITS
from feedbench.replacing import PART

IMAGES = 100
# Width, height, bytes and bits per pixel.
MEANS: dict[PresetName, tuple[float, float, float, float]] = {
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
    """Decode the whole image, so that a truncated file is an error."""
    with Image.open(path) as image:
        return image.convert("RGB")


def digests(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): sha256(path.read_bytes()).hexdigest()
        for path in files(folder)
    }


class Generated(NamedTuple):
    preset: PresetName
    folder: Path
    statistics: GeneratedImages
    advances: list[int]


@pytest.fixture(scope="module", params=["imagenet", "web", "mixed"])
def generated(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Generated:
    out, steps = tmp_path_factory.mktemp(request.param) / "photos", list[int]()
    statistics = make_data(out, images=IMAGES, preset=request.param, seed=3, advance=steps.append)
    return Generated(request.param, out, statistics, steps)


@pytest.fixture
def one_core() -> Iterator[None]:
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(cores)})
    yield
    os.sched_setaffinity(0, cores)


def test_means_are_within_a_tenth_of_the_preset(generated: Generated) -> None:
    preset, _, images, _ = generated
    means = (images.mean_width, images.mean_height, images.mean_bytes, images.bits_per_pixel)
    compared = 2 if preset == "mixed" else 4  # the bytes of a PNG cannot be chosen
    expected = MEANS["web" if preset == "mixed" else preset]
    assert means[:compared] == pytest.approx(expected[:compared], rel=0.1)


def test_statistics_match_the_files(generated: Generated) -> None:
    _, out, statistics, advances = generated
    paths = files(out)
    pixels = sum(image.width * image.height for image in map(pixels_of, paths))
    size = sum(path.stat().st_size for path in paths)
    assert (statistics.images, statistics.classes, statistics.bytes) == (len(paths), 10, size)
    assert statistics.bits_per_pixel == pytest.approx(8 * size / pixels)
    assert len(paths) == sum(advances) == IMAGES
    assert len(advances) > 1


def test_each_class_is_split_80_10_10(generated: Generated) -> None:
    counts = Counter((path.parts[-3], path.parts[-2]) for path in files(generated.folder))
    names = [f"class_{label}" for label in range(10)]
    assert SPLITS == SCANNED_SPLITS
    assert counts == {
        (split, name): 8 if split == "train" else 1 for split in SPLITS for name in names
    }


def test_the_preset_small_is_a_quarter_of_the_pixels_of_web(tmp_path: Path) -> None:
    statistics = make_data(tmp_path / "out", images=40, preset="small", seed=0)
    assert statistics.mean_width * statistics.mean_height == pytest.approx(210 * 210, rel=0.1)
    assert statistics.mean_bytes < 12_000


def test_formats_are_those_of_the_preset(generated: Generated) -> None:
    preset, out, _, _ = generated
    formats = Counter[tuple[str | None, str]]()
    for path in files(out):
        with Image.open(path) as image:
            formats[image.format, path.suffix] += 1
    mixed = {("JPEG", ".jpg"): 80, ("PNG", ".png"): 10, ("WEBP", ".webp"): 10}
    assert formats == (mixed if preset == "mixed" else {("JPEG", ".jpg"): IMAGES})


def test_sizes_and_orientations_vary(generated: Generated) -> None:
    sizes = [pixels_of(path).size for path in files(generated.folder)]
    wide = sum(width > height for width, height in sizes)
    assert len(set(sizes)) > IMAGES / 2
    assert 0 < wide < IMAGES


def test_spectrum_falls_as_in_photographs(generated: Generated) -> None:
    slopes = [spectrum_slope(path) for path in files(generated.folder)[::4]]
    assert -3 < np.mean(slopes) < -1.5


def spectrum_slope(path: Path) -> float:
    """Return the slope of log power over log frequency, 4 to 128 cycles in the middle 320 px."""
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
def test_bytes_do_not_depend_on_the_cores(generated: Generated, tmp_path: Path) -> None:
    preset, out, statistics, _ = generated
    assert make_data(tmp_path / "again", images=IMAGES, preset=preset, seed=3) == statistics
    assert digests(tmp_path / "again") == digests(out)


def test_another_seed_gives_other_bytes(tmp_path: Path) -> None:
    for seed in (1, 2):
        make_data(tmp_path / str(seed), images=6, preset="web", seed=seed, classes=2)
    first, second = digests(tmp_path / "1"), digests(tmp_path / "2")
    assert first.keys() == second.keys()
    assert len({*first.values(), *second.values()}) == 12


def test_three_images_per_class_reach_each_split(tmp_path: Path) -> None:
    tmp_path.joinpath("empty").mkdir()
    statistics = make_data(tmp_path / "empty", images=7, preset="web", seed=0, classes=2)
    folders = {path.parent for path in files(tmp_path)}
    assert statistics.images == 7
    assert len(folders) == 6


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"images": 29}, "images must be at least 30, .* got 29; ask for more images"),
        ({"classes": 0}, "classes must be at least 1, got 0"),
        ({"seed": -1}, "seed must be at least 0, got -1"),
        ({"preset": "huge"}, "preset must be one of imagenet, web, mixed, small, got 'huge'"),
    ],
)
def test_an_invalid_argument_is_named_and_nothing_is_written(
    tmp_path: Path, change: dict[str, Any], text: str
) -> None:
    with pytest.raises(SampleError, match=text) as caught:
        make_data(tmp_path / "out", **{"images": 30, "preset": "web", "seed": 0, **change})
    assert "\n" not in str(caught.value)
    assert isinstance(caught.value, BenchError)
    assert not tmp_path.joinpath("out").exists()


def test_a_folder_with_files_is_refused_and_left_alone(tmp_path: Path) -> None:
    tmp_path.joinpath("mine.txt").write_text("keep")
    with pytest.raises(SampleError, match="not empty; choose a new one"):
        make_data(tmp_path, images=30, preset="web", seed=0)
    assert files(tmp_path) == [tmp_path / "mine.txt"]


def test_a_parent_that_is_a_file_is_refused(tmp_path: Path) -> None:
    tmp_path.joinpath("file").touch()
    with pytest.raises(SampleError, match=r"cannot be created \(Not a directory\); choose one"):
        make_data(tmp_path / "file" / "out", images=30, preset="web", seed=0)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_parent_that_is_not_writable_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(SampleError, match=r"cannot be created \(Permission denied\); choose one"):
        make_data(tmp_path / "out", images=30, preset="web", seed=0)


def test_removing_the_folder_while_writing_is_an_error(tmp_path: Path) -> None:
    def vanish(_: int) -> None:
        if tmp_path.joinpath("out").exists():
            tmp_path.joinpath("out").rename(tmp_path / "moved")

    with pytest.raises(SampleError, match=r"writing failed; remove .*: No such file"):
        make_data(tmp_path / "out", images=400, preset="web", seed=0, advance=vanish)


def test_a_disk_that_takes_no_more_is_an_error(tmp_path: Path) -> None:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with pytest.raises(SampleError, match=r"writing failed; remove .*: File too large"):
            make_data(tmp_path / "out", images=40, preset="web", seed=0)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_a_killed_worker_is_an_error(tmp_path: Path) -> None:
    def kill(_: int) -> None:
        for worker in active_children():
            worker.kill()

    with pytest.raises(SampleError, match="a worker process was killed"):
        make_data(tmp_path / "out", images=400, preset="web", seed=0, advance=kill)


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def has_ended(process: psutil.Process) -> bool:
    """Whether a process ended; in a container, nobody may have reaped it yet."""
    try:
        return bool(process.status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True


def interrupt_group(process: subprocess.Popen[str]) -> None:
    os.killpg(process.pid, signal.SIGINT)


@pytest.mark.spawned  # its children are counted
@pytest.mark.parametrize(
    ("end", "files_first"),
    [(interrupt_group, False), (interrupt_group, True), (subprocess.Popen.kill, True)],
)
def test_ending_early_leaves_no_process_and_no_truncated_file(
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
    _, errors = process.communicate()
    assert len(workers) > 1
    wait_until(lambda: all(map(has_ended, workers)))
    assert process.returncode < 0
    assert errors.count("Traceback") == (end is interrupt_group)
    for path in tmp_path.rglob("*.jpg"):
        if not path.name.startswith(PART):  # what a killed process had begun
            pixels_of(path)
