"""A Torch Dataset of photographs and its DataLoader with worker processes."""

import sys

import numpy as np
from PIL import Image
from torch.utils.data import DataLoader, Dataset

from loaders import photographs, print_rate

SPACE = {"workers": [0, 2, 4]}


class Photographs(Dataset):
    """One photograph per row: uint8 pixels, height × width × 3, and its label."""

    def __init__(self, data, split, image_size):
        self.paths, self.labels = photographs(data, split)
        self.size = (image_size, image_size)

    def __len__(self):
        return len(self.paths)

    def __getitem__(self, row):
        with Image.open(self.paths[row]) as image:
            return np.array(image.convert("RGB").resize(self.size)), self.labels[row]


def make_loader(data, split="train", batch_size=32, image_size=224, workers=2):
    """Return the DataLoader; `workers` processes prepare its batches."""
    return DataLoader(
        Photographs(data, split, image_size),
        batch_size=batch_size,
        shuffle=True,
        num_workers=workers,
        drop_last=True,
        persistent_workers=workers > 0,
    )


if __name__ == "__main__":
    print_rate(make_loader(sys.argv[1]))
