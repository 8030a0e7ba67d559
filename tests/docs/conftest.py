from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from .serving import Server

CLASSES = ("dots", "lines", "plain")


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """train, validation and test folders with three classes of 32, 6 and 6 small JPEGs."""
    root = tmp_path_factory.mktemp("docs") / "photos"
    random = np.random.default_rng(0)
    for split, count in (("train", 32), ("validation", 6), ("test", 6)):
        for number, name in enumerate(CLASSES):
            folder = root / split / name
            folder.mkdir(parents=True)
            for image in range(count):
                pixels = random.integers(0, 120, (48, 64, 3)) + 60 * number
                Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{image:02}.jpg")
    return root


@pytest.fixture(scope="session")
def server() -> Iterator[Path]:
    """The socket of a server that runs the commands of a shell."""
    server = Server()
    yield server.path
    server.close()
