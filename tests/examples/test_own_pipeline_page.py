"""docs/own-pipeline.md word by word: its files are written, its commands run, its errors raised."""

import re
import shlex
import sys
from itertools import islice
from pathlib import Path
from textwrap import dedent

import pytest

from feedbench.loaders import BatchSpec, LoaderError, open_loader, scan

PAGE = (Path(__file__).parents[2] / "docs" / "own-pipeline.md").read_text()
FILES = re.findall(r"```python\n# (\w+\.py)\n(.*?)```", PAGE, re.DOTALL)
COMMANDS = [
    shlex.split(line)[1:]
    for block in re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)
    for line in block.splitlines()
]
ERRORS = re.findall(r"^\| `(.+?)` \|", PAGE.partition("## Common errors")[2], re.MULTILINE)

# The same commands with the smallest sizes: of an option given twice, the last value counts.
SIZES = ["--batch-size", "8", "--image-size", "32"]
SMALLER = {
    "make-data": ["--images", "60", "--preset", "small"],
    "bench": [*SIZES, "--blocks", "1", "--block-seconds", "0.1", "--warm-up-seconds", "0.1"],
    "diagnose": [*SIZES, "--seconds", "1"],
    "tune": [*SIZES, "--budget", "15s"],
    "train": ["--epochs", "1"],
    "pixels": SIZES,
    "show": [],
}


@pytest.fixture
def reader(tmp_path, monkeypatch):
    """The folder of somebody who follows the page, with the files that it has them save."""
    monkeypatch.chdir(tmp_path)
    for name, text in FILES:
        Path(name).write_text(text)


def test_its_commands_run_one_after_the_other(reader, feedbench):
    assert {name for name, _ in FILES} == {"pipeline.py", "model.py", "with_rows.py"}
    printed = {}
    for command, *words in COMMANDS:
        words = [word for word in words if word != "--try"]  # it takes as long as all others
        code = None if command == "tune" else 0  # a search so short may end without a choice
        printed[command] = feedbench(command, *words, *SMALLER[command], code=code)
        assert "Traceback" not in printed[command]
    assert "serial map" in printed["diagnose"]
    assert "with_rows.py:make_batches" in printed["pixels"]
    assert "not compared" not in printed["pixels"]
    assert Path("results/mine/best.toml").exists()


@pytest.fixture
def beside(tmp_path, monkeypatch):
    """A new folder to work in; `pipeline`, imported from it, is forgotten afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield
    sys.modules.pop("pipeline", None)


BROKEN = {
    "no function": "def make_dataset(data): return []",
    "has no parameter": "def make_dataset(data, workers=1): return []",
    "needs workers": "def make_dataset(data, workers): return []",
    "returned None": "def make_dataset(data): pass",
    "expected (images, labels)": "def make_dataset(data): return [zeros((4, 8, 8, 3))]",
    "the same number of each": "def make_dataset(data): return [(zeros((4, 8, 8, 3)), zeros(3))]",
    "expected uint8": """
        def make_dataset(data):
            for size in (8, 9):
                yield zeros((4, size, size, 3), "uint8"), zeros(4)
        """,
    "gave no batch": "def make_dataset(data): return []",
    "while make_dataset was called": "def make_dataset(data): open(data / 'images.csv')",
    "SPACE": "SPACE = {'workers': list(range(4))}\ndef make_dataset(data, workers=1): return []",
    "already loaded": "def make_dataset(data): return []",
}


@pytest.mark.parametrize(("error", "part"), list(zip(ERRORS, BROKEN, strict=True)))
def test_its_errors_are_those_that_a_user_sees(error, part, photos, beside):
    name = "numpy" if "numpy" in error else "pipeline"
    Path(f"{name}.py").write_text(f"from numpy import zeros\n{dedent(BROKEN[part])}\n")
    function = "make_datset" if part == "no function" else "make_dataset"
    settings = {"worker": 2} if part == "has no parameter" else {}
    spec = BatchSpec(batch_size=4, image_size=8)
    with (
        pytest.raises(LoaderError) as raised,
        open_loader(f"{name}.py:{function}", scan(photos), spec, settings) as stream,
    ):
        list(islice(stream, 2))
    assert part in error
    for text in error.split("…"):
        assert text.strip() in str(raised.value)
