"""The errors that docs/own-pipeline.md lists are those that a user sees."""

import re
import sys
from itertools import islice
from pathlib import Path
from textwrap import dedent

import pytest

from feedbench.loaders import BatchSpec, LoaderError, open_loader, scan

PAGE = (Path(__file__).parents[2] / "docs" / "own-pipeline.md").read_text()
ERRORS = re.findall(r"^\| `(.+?)` \|", PAGE.partition("## Common errors")[2], re.MULTILINE)


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
