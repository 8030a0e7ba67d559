"""The same 45 images in every form, written by the libraries that people use."""

from pathlib import Path

import pytest
from written_sources import CLASSES, named_images, records_written, write_sources


@pytest.fixture(scope="session")
def images() -> list[tuple[str, int, bytes]]:
    """Name, number of the class and bytes of each image, sorted by class and name."""
    return named_images()


@pytest.fixture(scope="session")
def folder(images, tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("folder")
    for name, label, data in images:
        path = root / CLASSES[label] / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(data)
    return root


@pytest.fixture(scope="session")
def sources(images, tmp_path_factory) -> dict[str, Path]:
    """A source of each form, by a name for the form."""
    return write_sources(images, tmp_path_factory.mktemp("shards"))


@pytest.fixture(scope="session")
def write_records():
    """Writes a TFRecord file of examples, one dict of features each."""
    return records_written
