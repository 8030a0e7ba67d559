"""Exported code that keeps decoded images on the disk."""

import os
from datetime import date
from types import ModuleType

import numpy as np

from feedbench.bench.analysis.best import Best
from feedbench.bench.export.module import exported, module_text


def test_the_space_of_the_cache_is_reserved_before_it_is_mapped(splits_folder, monkeypatch):
    """Otherwise a disk that fills later would kill the training."""
    spec = {"batch_size": 10, "image_size": 32}
    best = Best(loader="tf_data", settings={"cache": "disk"}, spec=spec)
    module, reserved = ModuleType("pipeline"), []
    code = module_text(exported("best.toml", best), None, "pipeline.py", date(2026, 1, 2))
    exec(compile(code, "pipeline.py", "exec"), vars(module))
    mapped = np.memmap

    def noted(file, *arguments, **options):
        reserved.append(512 * os.fstat(file.fileno()).st_blocks)
        images = mapped(file, *arguments, **options)
        assert reserved[0] >= images.nbytes
        return images

    monkeypatch.setattr(np, "memmap", noted)
    next(iter(module.make_dataset(splits_folder, epochs=2)))
    assert len(reserved) == 1
