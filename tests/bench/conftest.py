from collections.abc import Callable
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from feedbench.bench.commands.output import print_parts
from feedbench.bench.record import Block, Trial
from feedbench.bench.report.terminal import Terminal

CLASSES = ("circle", "square")


@pytest.fixture(scope="session")
def tiny_photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """train, validation and test folders of two classes that a network can tell apart."""
    root = tmp_path_factory.mktemp("tiny") / "photos"
    random = np.random.default_rng(0)
    for split, count in (("train", 24), ("validation", 4), ("test", 4)):
        for label, name in enumerate(CLASSES):
            folder = root / split / name
            folder.mkdir(parents=True)
            for number in range(count):
                pixels = random.integers(0, 120, (60, 80, 3)) + 110 * label
                Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{number}.jpg")
    return root


@pytest.fixture(scope="session")
def printed() -> Callable[..., str]:
    """Return a function that returns what a terminal of some width shows of tables and lines."""

    def shown(*parts, width: int = 200) -> str:
        terminal = Terminal(width=width, file=StringIO())
        print_parts(terminal, parts)
        return terminal.file.getvalue()

    return shown


@pytest.fixture(scope="session")
def trial() -> Callable[..., Trial]:
    """Return a function that makes the record of a trial from the rates of its blocks."""
    return recorded


def recorded(loader: str, rates: list[float], **values) -> Trial:
    fields = {"peak_memory_bytes": 100, "consumer": "train", **values}
    cpu_s, wait = fields.pop("cpu_s", 1.0), fields.pop("wait", 0.1)
    gpus = fields.pop("gpus", [])
    blocks = [
        Block(
            round=round_index,
            seconds=2.0,
            images=round(rate * 2),
            wait_s=[wait],
            step_s=[1.9],
            cpu_s=cpu_s,
            disk_read_bytes=7,
            gpus=gpus,
        )
        for round_index, rate in enumerate(rates)
    ]
    return Trial(
        loader=loader,
        settings={},
        all_settings={},
        spec={},
        recipe={},
        images=10,
        blocks=blocks,
        **fields,
    )
