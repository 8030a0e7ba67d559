"""What the examples share: the list of photographs, and a rate to print."""

from itertools import islice
from pathlib import Path
from time import perf_counter

import numpy as np


def photographs(data, split):
    """Return the paths and class numbers of `data/split/class/photograph`."""
    folders = sorted(path for path in Path(data, split).iterdir() if path.is_dir())
    paths = [sorted(str(path) for path in folder.iterdir()) for folder in folders]
    labels = np.repeat(np.arange(len(folders), dtype=np.int32), [len(some) for some in paths])
    return np.array([path for some in paths for path in some]), labels


def print_rate(batches, count=10):
    """Print the images per second of some batches; those before the first do not count."""
    batches = iter(batches)
    next(batches)
    begin = perf_counter()
    images = sum(len(labels) for _, labels, *_ in islice(batches, count))
    print(f"{images / (perf_counter() - begin):,.0f} images/s")
