"""Parts of commands that `measure.py` runs in a process each: `python parts.py NAME FOLDER`.

Each prints one line about what it did.
"""

import sys
from pathlib import Path

import data
import numpy as np

from feedbench.bench.training.class_pairs import ClassPairs
from feedbench.bench.training.confusion import draw_confusion
from feedbench.bench.training.predictions import Predictions, class_metrics, each_prediction
from feedbench.loaders import BatchSpec, Manifest, Order, Sampling, images_per_epoch, scan
from feedbench.loaders.audit import scanned
from feedbench.loaders.pack.about import arrays_of
from feedbench.loaders.pack.writer import PackWriter

BATCH = 192
MANIFEST = "manifest.parquet"


def make_list(folder: Path) -> str:
    """List the files, and write the manifest."""
    manifest = scan(folder)
    manifest.write(folder.parent / MANIFEST)
    bytes_per_row = manifest.table.nbytes / len(manifest)
    return f"{len(manifest):,} rows, {bytes_per_row:.0f} B each in memory"


def known(folder: Path) -> str:
    """Store facts of all files, as a scan does that has decoded each of them."""
    data.known(folder, Manifest.read(folder.parent / MANIFEST))
    return "as after a scan"


def read(folder: Path) -> str:
    """Read the manifest, as every process of a bench does."""
    size = (folder.parent / MANIFEST).stat().st_size
    manifest = Manifest.read(folder.parent / MANIFEST)
    return f"{len(manifest):,} rows, {size / len(manifest):.1f} B each in the file"


def start(folder: Path) -> str:
    """List the images with the facts of the last scan, as every command does first."""
    manifest = scanned(folder)
    bytes_per_row = manifest.table.nbytes / len(manifest)
    return f"{manifest.audited=}, {bytes_per_row:.0f} B per row in memory"


def order(folder: Path) -> str:
    """The rows of each batch of two epochs."""
    return _epochs(Manifest.read(folder.parent / MANIFEST), balance=0.0)


def balance(folder: Path) -> str:
    """The same, with rare classes repeated."""
    return _epochs(Manifest.read(folder.parent / MANIFEST), balance=0.5)


def _epochs(manifest: Manifest, *, balance: float) -> str:
    spec = BatchSpec(batch_size=BATCH, balance=balance)
    images_per_epoch(manifest, spec)
    sampling = Sampling.of(manifest.labels, len(manifest.classes), balance)
    order = Order(len(manifest), BATCH, epochs=2, sampling=sampling)
    images = sum(len(order.rows(begin, end)) for begin, end in order.chunks(BATCH))
    return f"{images:,} images in two epochs"


def pack(folder: Path) -> str:
    """Begin a pack, fill its index, resume it, which checks each row, and complete it."""
    manifest, spec = Manifest.read(folder.parent / MANIFEST), BatchSpec(image_size=1)
    place, about = folder.parent / "pack", arrays_of(manifest, spec)
    writer = PackWriter(place, about, manifest)
    pixels = np.zeros((1, 1, 3), np.uint8)
    for row in range(len(manifest)):
        writer.put(row, pixels)
    writer.close()
    writer = PackWriter(place, about, manifest)
    writer.drop_corrupt()
    left = writer.left
    writer.finish()
    writer.close()
    return f"{len(manifest):,} rows of 3 B, {left} corrupt"


def report(folder: Path) -> str:
    """What a training writes of its test images and reads again: counts, picture, predictions."""
    manifest = Manifest.read(folder.parent / MANIFEST).only("test")
    random, classes = np.random.default_rng(0), len(manifest.classes)
    found = Predictions(units={classes})
    for rows in np.array_split(np.arange(len(manifest)), len(manifest) // BATCH):
        found.rows.append(rows)
        found.labels.append(manifest.labels[rows])
        found.predicted.append(random.integers(0, classes, len(rows)))
        found.probability.append(random.random(len(rows), np.float32))
    pairs = found.pairs(classes)
    class_metrics(pairs, manifest.classes)
    draw_confusion(pairs, manifest.classes, folder.parent / "confusion.png")
    found.write(folder.parent / "predictions.csv", manifest)
    again = ClassPairs.of(*_numbers(folder.parent, manifest.classes), classes)
    return f"{pairs.total:,} test images, {len(again.images):,} pairs of classes"


def _numbers(folder: Path, classes: tuple[str, ...]) -> tuple[np.ndarray, np.ndarray]:
    numbers = {name: number for number, name in enumerate(classes)}
    each = [(numbers[one.label], numbers[one.predicted]) for _, one in each_prediction(folder)]
    true, predicted = np.array(each).T
    return true, predicted


PARTS = {
    "list": make_list,
    "known": known,
    "read": read,
    "start": start,
    "order": order,
    "balance": balance,
    "pack": pack,
    "report": report,
}

if __name__ == "__main__":
    sys.stdout.write(f"{PARTS[sys.argv[1]](Path(sys.argv[2]))}\n")
