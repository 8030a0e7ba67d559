import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from feedbench.bench.cli import main

EXAMPLES = Path(__file__).parents[2] / "examples"
CLASSES = ("dots", "lines", "plain")


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """train, validation and test folders with three classes of 32, 6 and 6 small JPEGs."""
    root = tmp_path_factory.mktemp("examples") / "photos"
    random = np.random.default_rng(0)
    for split, count in (("train", 32), ("validation", 6), ("test", 6)):
        for number, name in enumerate(CLASSES):
            folder = root / split / name
            folder.mkdir(parents=True)
            for image in range(count):
                pixels = random.integers(0, 120, (48, 64, 3)) + 60 * number
                Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{image:02}.jpg")
    return root


@pytest.fixture
def beside_examples(monkeypatch: pytest.MonkeyPatch) -> None:
    """Changes to the folder of the examples, as their user would."""
    monkeypatch.chdir(EXAMPLES)


@pytest.fixture
def as_script(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The folder of the examples as Python has it for a script; their modules go afterwards."""
    monkeypatch.syspath_prepend(str(EXAMPLES))
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        file = getattr(sys.modules[name], "__file__", None)
        if file and Path(file).parent == EXAMPLES:
            del sys.modules[name]


@pytest.fixture
def feedbench(monkeypatch: pytest.MonkeyPatch, capfd) -> Callable[..., str]:
    """Runs a command in this process, and returns what it printed, on both streams.

    `code` is the exit code that is expected; None if any will do.
    """

    def run(*words: object, code: int | None = 0) -> str:
        monkeypatch.setattr(sys, "argv", ["feedbench", *map(str, words)])
        monkeypatch.setenv("COLUMNS", "200")
        capfd.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        printed = "".join(capfd.readouterr())
        assert code in (None, ended.value.code or 0), printed
        return printed

    return run
