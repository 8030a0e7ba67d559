from pathlib import Path

import pytest

from feedbench.bench.data.generate import make_data
from feedbench.loaders import Manifest, scan


@pytest.fixture(scope="session")
def photographs(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Generated images of the sizes and formats found on the web; few where nothing is timed."""
    folder = tmp_path_factory.mktemp("micro") / "photographs"
    images = 300 if request.config.getoption("benchmark_enable") else 100
    make_data(folder, images=images, preset="web", seed=0)
    return folder


@pytest.fixture(scope="session")
def manifest(photographs: Path) -> Manifest:
    return scan(photographs).only("train")
