"""A WebDataset pipeline: shards in random order, a shuffle buffer, decoding in processes."""

import sys
from pathlib import Path

import numpy as np
import webdataset as wds

from loaders import print_rate

SPACE = {"workers": [1, 2, 4]}


def make_loader(data, split="train", batch_size=32, image_size=224, seed=0, workers=1):
    """Return batches of uint8 pixels from the shards `split*.tar`, members `jpg` and `cls`."""

    def prepared(sample):
        image, label = sample
        return np.asarray(image.resize((image_size, image_size))), label

    shards = sorted(str(path) for path in Path(data).glob(f"{split}*.tar"))
    dataset = (
        wds.WebDataset(shards, shardshuffle=len(shards), seed=seed)
        .shuffle(1000)
        .decode("pilrgb")
        .to_tuple("jpg", "cls")
        .map(prepared)
        .batched(batch_size, partial=False)
    )
    return wds.WebLoader(dataset, batch_size=None, num_workers=min(workers, len(shards)))


if __name__ == "__main__":
    print_rate(make_loader(sys.argv[1]))
