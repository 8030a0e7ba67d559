"""A training resumes only with the files that it was started with."""

import os
import shutil

import pytest

from feedbench.bench.errors import RecordError
from feedbench.bench.training.originals import check_same_files, record_images
from feedbench.loaders import scan


def test_files_that_changed_since_the_start_are_refused_unless_they_were_dropped(
    tmp_path, tiny_photos
):
    folder, photos = tmp_path / "run", shutil.copytree(tiny_photos, tmp_path / "photos")
    folder.mkdir()
    images = scan(photos).only("train")
    check_same_files(folder, images, [])  # started by an earlier version
    record_images(folder, images)
    check_same_files(folder, images, [])
    os.utime(images.path(7))
    check_same_files(folder, images, [7])
    with pytest.raises(RecordError, match=f"{images.path(7)} has changed: modified .*; undo the"):
        check_same_files(folder, images, [3])
