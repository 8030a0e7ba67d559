"""Loops written after each library's own documentation, without Feedbench.

Feedbench's loader of a library has to be as fast as its loop. Each function is a loader of its
own, `--loader bare.py:torch_loop`; labels come with the images, the order is the library's own.
"""

from __future__ import annotations

import io
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL import Image

from feedbench.loaders import Manifest

Pixels = NDArray[np.uint8]
CORES = len(os.sched_getaffinity(0))
cv2.setNumThreads(0)  # one core per worker, as OpenCV's and Torch's documentation recommend


def decoded(data: bytes, side: int, decoder: str) -> Pixels:
    """The image of a file, `[side, side, 3]`."""
    if decoder == "simplejpeg" and data.startswith(b"\xff\xd8\xff"):
        pixels = simplejpeg.decode_jpeg(data)
    else:
        with Image.open(io.BytesIO(data)) as image:
            pixels = np.asarray(image.convert("RGB"))
    resized: Any = cv2.resize(pixels, (side, side), interpolation=cv2.INTER_LINEAR)
    return np.asarray(resized, np.uint8)


class Files:
    """A map-style data set: an image and its label."""

    def __init__(self, manifest: Manifest, side: int, decoder: str) -> None:
        self.paths = paths_of(manifest)
        self.labels = manifest.labels.tolist()
        self.side, self.decoder = side, decoder

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> tuple[Pixels, int]:
        data = Path(self.paths[index]).read_bytes()
        return decoded(data, self.side, self.decoder), self.labels[index]


def paths_of(manifest: Manifest) -> list[str]:
    """The files of a manifest."""
    return [manifest.path(row) for row in range(len(manifest))]


def torch_loop(manifest: Manifest, batch_size: int, image_size: int, decoder: str) -> Any:
    """Source: https://docs.pytorch.org/tutorials/beginner/basics/data_tutorial.html."""
    from torch.utils.data import DataLoader

    return DataLoader(
        Files(manifest, image_size, decoder),  # type: ignore[arg-type]
        batch_size=batch_size,
        shuffle=True,
        num_workers=CORES,
        persistent_workers=True,
    )


def hf_datasets_loop(manifest: Manifest, batch_size: int, image_size: int, decoder: str) -> Any:
    """Source: https://huggingface.co/docs/datasets/image_process and /use_with_pytorch."""
    import datasets
    from torch.utils.data import DataLoader

    def prepared(examples: dict[str, Any]) -> dict[str, Any]:
        files = (Path(one["path"]).read_bytes() for one in examples["image"])
        images = [decoded(data, image_size, decoder) for data in files]
        return {"image": images, "label": examples["label"]}

    columns = {"image": paths_of(manifest), "label": manifest.labels.tolist()}
    table = datasets.Dataset.from_dict(columns)
    table = table.cast_column("image", datasets.Image(decode=False))
    return DataLoader(
        table.with_transform(prepared),
        batch_size=batch_size,
        shuffle=True,
        num_workers=CORES,
        persistent_workers=True,
        collate_fn=stacked,
    )


def stacked(examples: list[dict[str, Any]]) -> tuple[Any, Any]:
    """A batch of examples."""
    import torch

    images = torch.stack([torch.as_tensor(one["image"]) for one in examples])
    return images, torch.tensor([one["label"] for one in examples])


def webdataset_loop(manifest: Manifest, batch_size: int, image_size: int, decoder: str) -> Any:
    """Source: https://webdataset.github.io/webdataset/gettingstarted and /sharding."""
    import webdataset

    def prepared(sample: dict[str, Any]) -> tuple[Pixels, int]:
        data = next(value for key, value in sample.items() if key in ("jpg", "jpeg", "png"))
        return decoded(data, image_size, decoder), int(sample["cls"])

    shards = sorted({path.partition(".tar:")[0] + ".tar" for path in paths_of(manifest)})
    dataset = webdataset.WebDataset(shards, shardshuffle=len(shards)).shuffle(1000)
    return webdataset.WebLoader(
        dataset.map(prepared).batched(batch_size),
        batch_size=None,
        num_workers=min(CORES, len(shards)),
        persistent_workers=True,
    )


def grain_loop(manifest: Manifest, batch_size: int, image_size: int, decoder: str) -> Any:
    """Source: https://google-grain.readthedocs.io, tutorial "Dataset basics"."""
    import grain

    files = Files(manifest, image_size, decoder)
    dataset = grain.MapDataset.range(len(files)).shuffle(seed=0).repeat().map(files.__getitem__)
    read = grain.ReadOptions(num_threads=CORES, prefetch_buffer_size=4 * batch_size)
    return iter(dataset.to_iter_dataset(read).batch(batch_size))


def spdl_loop(
    manifest: Manifest, batch_size: int, image_size: int, decoder: str
) -> Iterator[tuple[Any, Any]]:
    """Source: https://facebookresearch.github.io/spdl, example "image_dataloading"."""
    import spdl.io
    from spdl.pipeline import PipelineBuilder

    scale: dict[str, Any] = {"scale_algo": "bilinear", "scale_mode": None, "pix_fmt": "rgb24"}
    filters = spdl.io.get_video_filter_desc(
        scale_width=image_size, scale_height=image_size, **scale
    )

    def batch(items: list[tuple[str, int]]) -> tuple[Any, Any]:
        paths, labels = zip(*items, strict=True)
        if decoder == "ffmpeg":
            size: dict[str, Any] = {"width": None, "height": None, "pix_fmt": None}
            made = spdl.io.load_image_batch(paths, **size, filter_desc=filters)
            return np.asarray(spdl.io.to_numpy(made)), np.array(labels)
        images = np.empty((len(paths), image_size, image_size, 3), np.uint8)
        for image, path in zip(images, paths, strict=True):
            image[:] = decoded(Path(path).read_bytes(), image_size, decoder)
        return images, np.array(labels)

    pipeline = (
        PipelineBuilder()
        .add_source(endless(manifest))
        .aggregate(batch_size)
        .pipe(batch, concurrency=CORES)
        .add_sink(3)
        .build(num_threads=CORES)
    )
    with pipeline.auto_stop():
        yield from pipeline.get_iterator()


def endless(manifest: Manifest) -> Iterator[tuple[str, int]]:
    """Files and labels, each epoch in another order."""
    random, paths, labels = np.random.default_rng(0), paths_of(manifest), manifest.labels.tolist()
    while True:
        for row in random.permutation(len(paths)).tolist():
            yield paths[row], labels[row]


def dali_loop(manifest: Manifest, batch_size: int, image_size: int) -> Iterator[tuple[Any, Any]]:
    """Source: docs.nvidia.com/deeplearning/dali/user-guide, "Getting Started"."""
    from nvidia.dali import fn, pipeline_def, types

    @pipeline_def(batch_size=batch_size, num_threads=CORES, device_id=None)  # type: ignore[untyped-decorator]
    def pipeline() -> Any:
        encoded, labels = fn.readers.file(
            files=paths_of(manifest), labels=manifest.labels.tolist(), random_shuffle=True
        )
        images = fn.decoders.image(encoded, device="cpu")
        resize: dict[str, Any] = {"interp_type": types.INTERP_LINEAR, "antialias": False}
        return fn.resize(images, size=(image_size, image_size), **resize), labels

    running: Any = pipeline()
    running.build()
    while True:
        images, labels = running.run()
        yield np.asarray(images.as_tensor()), np.asarray(labels.as_tensor())[:, 0]


def ffcv_loop(
    manifest: Manifest, batch_size: int, image_size: int, pack_dir: str, write_mode: str
) -> Iterator[tuple[Any, Any]]:
    """Source: https://docs.ffcv.io, "Making dataloaders" and "Tuning guide".

    Args:
        pack_dir: folder with a .beton file of each write mode, as the loader `ffcv` writes them.
    """
    from ffcv.fields.rgb_image import CenterCropRGBImageDecoder
    from ffcv.loader import Loader, OrderOption

    loader: Any = Loader(
        beton(Path(pack_dir), write_mode),
        batch_size=batch_size,
        num_workers=CORES,
        order=OrderOption.RANDOM,
        os_cache=True,
        drop_last=False,
        pipelines={"image": [CenterCropRGBImageDecoder((image_size, image_size), 1)]},
    )
    labels = np.zeros(batch_size, np.int64)  # those files hold none
    while True:
        for (images,) in loader:
            yield images, labels[: len(images)]


def beton(folder: Path, write_mode: str) -> str:
    """The file of a write mode."""
    for about in folder.glob("*/about.json"):
        if json.loads(about.read_text())["write_mode"] == write_mode:
            return str(about.with_name("images.beton"))
    raise FileNotFoundError(f"{folder}: no file of write_mode {write_mode}; run measure.sh")
