from pathlib import Path

import pytest

from feedbench.bench.errors import PlanError
from feedbench.bench.trials.cache_state import check_cold
from feedbench.loaders import Manifest, scan


@pytest.fixture(scope="module")
def on_disk(tiny_photos: Path) -> Manifest:
    """Images whose pages the system can drop, and whose reads from the disk it reports."""
    manifest = scan(tiny_photos).only("train")
    try:
        check_cold(manifest)
    except PlanError as error:
        pytest.skip(str(error))
    return manifest
