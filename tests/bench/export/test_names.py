"""Exported code reads what the loader reads, and leaves out the same, whatever files are called."""

import os
import runpy
import shutil
from datetime import date

import numpy as np
import pytest

from feedbench.bench.analysis.best import Best
from feedbench.bench.export.module import exported, module_text
from feedbench.loaders import scan


@pytest.fixture
def opened(tmp_path):
    """Returns the names in the module that reads a source as tf_data does."""

    def run(manifest):
        best = Best(loader="tf_data", spec={"batch_size": 10, "image_size": 32})
        code = module_text(exported("tf_data", best), manifest, "pipeline.py", date(2026, 1, 2))
        (tmp_path / "pipeline.py").write_text(code)
        return runpy.run_path(str(tmp_path / "pipeline.py"))

    return run


def test_files_with_odd_names_are_read_or_left_out(class_folder, tmp_path, opened, with_facts):
    folder = shutil.copytree(class_folder, tmp_path / "photos")
    odd = ['it\'s "so".jpg', "back\\slash.jpg", "new\nline.jpg", os.fsdecode(b"caf\xe9.jpg")]
    for name in odd:
        shutil.copy(folder / "ant" / "03.jpg", folder / "ant" / name)
        (folder / "bee" / name).write_bytes(b"not a photograph")
    manifest = with_facts(scan(folder))
    readable = set(manifest.paths(np.arange(len(manifest))))
    readable -= {os.fsencode(folder / "bee" / name) for name in odd}
    module, found = opened(manifest), []
    for split in ("train", "validation", "test"):
        paths = module["list_images"](folder, split)[0]
        found += map(os.fsencode, paths)
        batches = module["make_dataset"](folder, split, epochs=1)
        assert sum(len(labels) for _, labels in batches) == len(paths)
    assert set(found) == readable
    assert len(found) == len(readable)


def test_rows_of_a_csv_are_left_out_however_they_name_their_files(
    class_folder, tmp_path, opened, with_facts
):
    folder = shutil.copytree(class_folder, tmp_path / "photos")
    names = [str(folder / "ant" / f"{number:02}.jpg") for number in range(15)]
    names += [f"./bee//{number:02}.jpg" for number in range(15)]
    table = folder / "photos.csv"
    table.write_text("path,label,split\n" + "".join(f"{name},a,train\n" for name in names))
    for name in ("ant/03.jpg", "bee/03.jpg"):
        (folder / name).write_bytes(b"not a photograph")
    module = opened(with_facts(scan(table)))
    paths = module["list_images"](str(table), "train")[0]
    assert len(paths) == 28
    assert not any(path.endswith("03.jpg") for path in paths)
