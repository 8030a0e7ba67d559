"""A Keras PyDataset: one batch per index, prepared by several threads."""

import sys

import keras
import numpy as np

from loaders import photographs, print_rate

SPACE = {"workers": [1, 2, 4]}


class Photographs(keras.utils.PyDataset):
    """Batches of uint8 pixels in an order that changes every epoch."""

    def __init__(self, data, split, batch_size, image_size, seed, **threads):
        super().__init__(**threads)
        self.paths, self.labels = photographs(data, split)
        self.batch_size, self.size = batch_size, (image_size, image_size)
        self.random = np.random.default_rng(seed)
        self.on_epoch_end()

    def __len__(self):
        return len(self.paths) // self.batch_size

    def __getitem__(self, index):
        rows = self.order[index * self.batch_size : (index + 1) * self.batch_size]
        images = [keras.utils.load_img(self.paths[row], target_size=self.size) for row in rows]
        return np.stack([np.asarray(image) for image in images]), self.labels[rows]

    def on_epoch_end(self):
        """Draw a new order."""
        self.order = self.random.permutation(len(self.paths))


def make_dataset(data, split="train", batch_size=32, image_size=224, seed=0, workers=2):
    """Return the data set; `workers` threads prepare its batches."""
    return Photographs(data, split, batch_size, image_size, seed, workers=workers)


if __name__ == "__main__":
    dataset = make_dataset(sys.argv[1])
    print_rate(dataset[index] for index in range(len(dataset)))
