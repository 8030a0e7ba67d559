"""Loaders of other libraries against bare loops, written after each library's own documentation.

Each benchmark times windows of both sides alternately and stores the ratio with its interval in
`extra_info` of the saved JSON: above 1, ours is faster.
"""

from contextlib import closing
from time import perf_counter

import numpy as np
import pytest
from PIL import Image

from feedbench.bench.analysis.stats import median_interval
from feedbench.loaders import BatchSpec, Faults, open_loader, scan, usable_cores
from feedbench.loaders.pack import Sharding, write_shards

SPEC = BatchSpec(batch_size=64, image_size=224)
LEAD_S, WINDOW_S, PAIRS = 1.5, 2.5, 7
SIDE = (224, 224)


@pytest.fixture(scope="module")
def shards(manifest, tmp_path_factory):
    folder = tmp_path_factory.mktemp("micro-shards")
    write_shards(Sharding(manifest, "webdataset", 4), folder, Faults(), lambda images: None)
    return scan(folder).only("train")


class Photographs:
    """A map-style data set as in Torch's tutorial, with an image decoded by Pillow."""

    def __init__(self, manifest):
        self.paths = [manifest.path(row) for row in range(len(manifest))]
        self.labels = manifest.labels.tolist()

    def __len__(self):
        return len(self.paths)

    def __getitem__(self, index):
        with Image.open(self.paths[index]) as image:
            small = image.convert("RGB").resize(SIDE, Image.Resampling.NEAREST)
        return np.asarray(small), self.labels[index]


def bare_torch(manifest):
    """Source: https://docs.pytorch.org/tutorials/beginner/basics/data_tutorial.html."""
    from torch.utils.data import DataLoader

    yield from epochs(
        DataLoader(
            Photographs(manifest),
            batch_size=SPEC.batch_size,
            shuffle=True,
            num_workers=usable_cores(),
            persistent_workers=True,
        )
    )


def bare_webdataset(manifest):
    """Source: https://webdataset.github.io/webdataset/gettingstarted."""
    import webdataset

    def prepared(sample):
        image = next(value for key, value in sample.items() if isinstance(value, Image.Image))
        return np.asarray(image.resize(SIDE, Image.Resampling.NEAREST)), int(sample["cls"])

    paths = map(manifest.path, range(len(manifest)))
    urls = sorted({path.partition(".tar:")[0] + ".tar" for path in paths})
    dataset = (
        webdataset.WebDataset(urls, shardshuffle=len(urls))
        .shuffle(1000)
        .decode("pilrgb")
        .map(prepared)
        .batched(SPEC.batch_size)
    )
    loader = webdataset.WebLoader(
        dataset,
        batch_size=None,
        num_workers=min(usable_cores(), len(urls)),
        persistent_workers=True,
    )
    yield from epochs(loader)


def bare_hf_datasets(manifest):
    """Source: https://huggingface.co/docs/datasets/image_process and /use_with_pytorch."""
    import datasets
    from torch.utils.data import DataLoader

    def prepared(examples):
        images = [
            np.asarray(image.convert("RGB").resize(SIDE, Image.Resampling.NEAREST))
            for image in examples["image"]
        ]
        return {"image": images, "label": examples["label"]}

    paths = [manifest.path(row) for row in range(len(manifest))]
    columns = {"image": paths, "label": manifest.labels.tolist()}
    table = datasets.Dataset.from_dict(columns).cast_column("image", datasets.Image())
    yield from epochs(
        DataLoader(
            table.with_transform(prepared),
            batch_size=SPEC.batch_size,
            shuffle=True,
            num_workers=usable_cores(),
            persistent_workers=True,
            collate_fn=stacked,
        )
    )


def stacked(examples):
    import torch

    images = torch.stack([torch.as_tensor(one["image"]) for one in examples])
    return images, torch.tensor([one["label"] for one in examples])


def epochs(loader):
    """The number of images of each batch, without end."""
    while True:
        for images, _ in loader:
            yield len(images)


def sizes(batches):
    for batch in batches:
        yield len(batch.rows)


def rate(counts, lead_s, window_s):
    """Images per second between arrivals, after at least `lead_s` seconds."""
    begin = perf_counter()
    while True:
        next(counts)
        if perf_counter() - begin >= lead_s:
            break
    images, begin = 0, perf_counter()
    while perf_counter() - begin < window_s:
        images += next(counts)
    return images / (perf_counter() - begin)


@pytest.mark.filterwarnings("ignore")  # of the libraries, in the bare loops
@pytest.mark.parametrize(
    ("name", "bare"),
    [("torch", bare_torch), ("webdataset", bare_webdataset), ("hf_datasets", bare_hf_datasets)],
    ids=["torch", "webdataset", "hf_datasets"],
)
def test_a_loader_against_a_bare_loop(benchmark, manifest, shards, name, bare):
    lead_s, window_s, pairs = (0.0, 0.05, 1) if benchmark.disabled else (LEAD_S, WINDOW_S, PAIRS)
    source, ratios = shards if name == "webdataset" else manifest, []

    def ours():
        with open_loader(name, source, SPEC) as stream:
            return rate(sizes(stream), lead_s, window_s)

    def theirs():
        with closing(bare(source)) as counts:
            return rate(counts, lead_s, window_s)

    def all_pairs():
        for number in range(pairs):
            first, second = (ours, theirs) if number % 2 else (theirs, ours)
            rates = {first: first(), second: second()}
            ratios.append(rates[ours] / rates[theirs])

    benchmark.pedantic(all_pairs, rounds=1, iterations=1)
    benchmark.extra_info["ratio"] = median_interval(ratios).model_dump()
