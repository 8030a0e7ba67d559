import csv
import gc
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from feedbench.loaders import LOADERS, Manifest
from feedbench.loaders.guests.package import Package

sys.path.insert(0, str(Path(__file__).parent))
import preloaded

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", tempfile.gettempdir())  # for tmp_path, which is kept
# Audits and profiles of the tests stay out of the user's own cache and configuration, and what
# TensorFlow leaves behind where a process is killed does not stay in the system's folder.
_CACHE = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
for _name in ("FEEDBENCH_CACHE", "FEEDBENCH_CONFIG", "TMPDIR"):
    os.environ[_name] = _CACHE.name
tempfile.tempdir = None  # gettempdir reads TMPDIR again

# Where they are ignored, as in background jobs and under nohup, child processes would ignore them.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGTERM, signal.SIG_DFL)

CLASSES = ("ant", "bee", "cat")
SIZES = ((120, 90), (90, 120), (200, 300), (66, 62), (30, 20))  # width, height


_SPIN = """
import time
begin = time.process_time()
end = time.monotonic() + 0.5
while time.monotonic() < end:
    pass
print(time.process_time() - begin)
"""


# The files that take longest, the longest first; then those of `make test-guests` and
# `make test-beyond`.
LONG = (
    "bench/diagnose/test_diagnose",
    "bench/monitor/test_monitor",
    "loaders/test_contract",
    "bench/training/test_survival",
    "trainer/test_weights",
    "bench/diagnose/test_own",
    "bench/commands/test_interrupted_stages",
    "bench/commands/test_own",
    "bench/commands/test_cli",
    "bench/study/test_study",
    "trainer/test_own_models",
    "bench/tune/test_search_errors",
    "trainer/test_trainer",
    "bench/training/test_compare",
    "bench/training/test_training",
    "test_preloaded",
    "trainer/test_checkpoints",
    "trainer/test_recipe",
    "loaders/service/test_hosts",
    "bench/cluster/test_kills",
    "bench/commands/test_devices",
    "bench/cluster/test_training",
    "loaders/remote/test_commands",
    "trainer/test_replicas",
)
GUESTS = ("torch", "jax", "webdataset", "datasets")


def pytest_itemcollected(item: pytest.Item) -> None:
    """Marks a test of the loader `name` with the packages that this loader needs."""
    parameters = getattr(getattr(item, "callspec", None), "params", {})
    loader = LOADERS.get(str(parameters.get("name")))
    if loader is not None and loader.package is not None:
        item.add_marker(pytest.mark.guests(*loader.package.modules))


def pytest_addoption(parser: pytest.Parser) -> None:
    text = "start every process from scratch, as users do, instead of forking one with TensorFlow"
    parser.addoption("--spawn", action="store_true", help=text)


def pytest_configure(config: pytest.Config) -> None:
    if not config.getoption("spawn"):
        preloaded.install()


def pytest_unconfigure() -> None:
    preloaded.close()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Puts the files that take longest first, so that all cores are busy to the end."""
    first = {f"tests/{name}.py": place for place, name in enumerate(LONG)}
    items.sort(key=lambda item: first.get(item.nodeid.partition("::")[0], len(first)))


def pytest_collection_finish() -> None:
    """Exempts modules and tests, which stay to the end, from garbage collection."""
    gc.collect()
    gc.freeze()


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skips a test marked `guests`, before its fixtures, if a package that it names is missing."""
    for mark in item.iter_markers("guests"):
        missing = Package("", tuple(mark.args or GUESTS)).missing()
        if missing:
            pytest.skip(f"needs {', '.join(missing)}: `make test-guests` installs it")


@pytest.fixture(autouse=True)
def _idle_machine(request: pytest.FixtureRequest) -> None:
    """Skips a test marked `alone` if it cannot have the cores, and at least two, for itself."""
    if request.node.get_closest_marker("alone") is None:
        return
    cores = min(4, len(os.sched_getaffinity(0)))
    command = [sys.executable, "-c", _SPIN]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(cores)]
    share = sum(float(process.communicate()[0]) for process in running) / (0.5 * cores)
    if cores < 2 or share < 0.9:
        pytest.skip(f"measures time, and gets {share:.0%} of {cores} cores")


@pytest.fixture(autouse=True)
def _processes(request: pytest.FixtureRequest) -> Iterator[None]:
    """Has a test marked `spawned` or `guests` start its processes as users do.

    What the package of a guest does in a process with TensorFlow proves little of one without.
    """
    marked = any(request.node.get_closest_marker(name) for name in ("spawned", "guests"))
    with preloaded.spawned() if marked else nullcontext():
        yield


@pytest.fixture(autouse=True)
def _same_loaders() -> Iterator[None]:
    """Removes the loaders that a test, or the worker that it runs in this process, registers."""
    before = dict(LOADERS)
    yield
    LOADERS.clear()
    LOADERS.update(before)


@pytest.fixture(scope="module")
def short_network() -> Iterator[None]:
    """Has keras.applications offer `short_network.NAME`."""
    import keras
    from short_network import NAME, short_mobile_net

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(keras.applications, NAME, short_mobile_net, raising=False)
        yield


def photograph(random: np.random.Generator, size: tuple[int, int]) -> Image.Image:
    """A smooth coloured image, on which decoders and filters agree to a few levels."""
    coarse = random.integers(0, 256, (5, 6, 3), np.uint8)
    return Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC)


@pytest.fixture(scope="session")
def splits_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """train, validation and test folders with three classes of 15, 2 and 2 JPEGs.

    Without chroma subsampling, because every decoder upsamples in its own way.
    """
    root = tmp_path_factory.mktemp("photos")
    random = np.random.default_rng(0)
    for split, count in (("train", 15), ("validation", 2), ("test", 2)):
        for name in CLASSES:
            folder = root / split / name
            folder.mkdir(parents=True)
            for number in range(count):
                size = SIZES[number % len(SIZES)]
                photograph(random, size).save(
                    folder / f"{number:02}.jpg", quality=95, subsampling=0
                )
    return root


@pytest.fixture(scope="session")
def packs(splits_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two packs of all splits: `arrays` of 32 px and `jpeg`; and `betons`, empty."""
    from feedbench.loaders import BatchSpec, scan
    from feedbench.loaders.faults import Faults, tolerance
    from feedbench.loaders.pack.build import Packing, fill, opened

    root, manifest = tmp_path_factory.mktemp("packs"), scan(splits_folder)
    (root / "betons").mkdir()
    for kind in ("arrays", "jpeg"):
        packing = Packing(manifest, BatchSpec(image_size=32), kind, side=64, quality=95)
        with opened(packing, root / kind) as writer:
            fill(packing, writer, Faults(tolerance("raise", 0, len(manifest))), lambda _: None)
    return root


@pytest.fixture
def beside_packs(packs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Changes to a new folder with links `arrays`, `jpeg` and `betons` to the packs."""
    for pack in packs.iterdir():
        (tmp_path / pack.name).symlink_to(pack)
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="session")
def class_folder(splits_folder: Path) -> Path:
    """One folder per class."""
    return splits_folder / "train"


@pytest.fixture(scope="session")
def tar_shards(class_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The class folders in two shards of WebDataset."""
    from feedbench.loaders import Faults, scan
    from feedbench.loaders.pack import Sharding, write_shards

    root = tmp_path_factory.mktemp("shards")
    manifest = scan(class_folder, validation=0, test=0)
    write_shards(Sharding(manifest, "webdataset", 2), root, Faults(), lambda images: None)
    return root


@pytest.fixture(scope="session")
def for_loader(splits_folder: Path, tar_shards: Path) -> Callable[[str], Manifest]:
    """The same 45 photographs in folders, or in shards for a loader that reads no folders."""
    from feedbench.loaders import scan

    of_folders, of_shards = (scan(one).only("train") for one in (splits_folder, tar_shards))
    return lambda name: of_folders if "splits" in LOADERS[name].layouts else of_shards


@pytest.fixture(scope="session")
def table(splits_folder: Path) -> Path:
    """A CSV of path, label and split beside the folders of the splits."""
    path = splits_folder / "photos.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["path", "label", "split"])
        for image in sorted(splits_folder.rglob("*.jpg"), reverse=True):
            split, label, _ = image.relative_to(splits_folder).parts
            writer.writerow([image.relative_to(splits_folder), label, split])
    return path


@pytest.fixture(scope="session")
def with_facts():
    """Adds to a manifest what an audit finds, without its processes."""
    import pyarrow as pa

    from feedbench.loaders.audit import ProbeLimits, attach
    from feedbench.loaders.audit.probe import probe
    from feedbench.loaders.audit.store import FACTS

    def attached(manifest):
        paths = manifest.paths(np.arange(len(manifest)))
        facts = [
            {"path": manifest.name(row), **probe(path, ProbeLimits())}
            for row, path in enumerate(paths)
        ]
        return attach(manifest, pa.Table.from_pylist(facts, FACTS))

    return attached
