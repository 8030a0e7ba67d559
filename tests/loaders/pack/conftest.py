import shutil

import numpy as np
import pytest

from feedbench.loaders import BatchSpec, open_loader, scan
from feedbench.loaders.faults import Faults, tolerance
from feedbench.loaders.pack.build import Packing, fill, opened

SPEC = BatchSpec(batch_size=8, image_size=32, shuffle=False)


@pytest.fixture
def photos(class_folder, tmp_path):
    return shutil.copytree(class_folder, tmp_path / "photos")


@pytest.fixture
def manifest(photos):
    return scan(photos, validation=0, test=0)


@pytest.fixture
def make_pack():
    """Packs a manifest into a folder."""

    def make(manifest, folder, kind="arrays", spec=SPEC, on_error="raise", budget=0.0):
        faults = Faults(tolerance(on_error, budget, len(manifest)))
        packing = Packing(manifest, spec, kind, side=64, quality=95)
        with opened(packing, folder) as writer:
            fill(packing, writer, faults, lambda _: None)
        return folder

    return make


@pytest.fixture
def images_of():
    """The images of one epoch of a loader."""

    def images(name, manifest, settings, spec=SPEC, **how):
        with open_loader(name, manifest, spec, settings, epochs=1, **how) as stream:
            return np.concatenate([np.array(batch.images) for batch in stream])

    return images
