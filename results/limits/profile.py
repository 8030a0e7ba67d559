"""Time the parts of one image in `turbo` and `packed`, in one thread on one core.

    python results/limits/profile.py PHOTOS [PACK …]

Prints microseconds per image: the median of seven rounds of 256 images, parts interleaved.
"""

import sys
from collections.abc import Callable
from pathlib import Path
from statistics import median
from time import perf_counter

import cv2
import numpy as np
import simplejpeg

from feedbench.loaders import BatchSpec, Manifest, scan
from feedbench.loaders.batch_pool import Source
from feedbench.loaders.files import read_file
from feedbench.loaders.images.libjpeg_turbo import LiveImages, Scratch, decoded_jpeg
from feedbench.loaders.images.resize import Pixels, fit_into
from feedbench.loaders.order import Rows
from feedbench.loaders.pack.pack import Pack
from feedbench.loaders.pack.source import source_of

Parts = dict[str, Callable[[], object]]
ROUNDS, IMAGES = 7, 256
SPEC = BatchSpec(batch_size=192, image_size=224, resize="stretch", interpolation="nearest")


def main() -> None:
    """Print a table for the photographs and one for each pack."""
    cv2.setNumThreads(1)
    manifest = scan(sys.argv[1]).only("train")
    rows = np.random.default_rng(0).permutation(len(manifest))[:IMAGES]
    print_times(sys.argv[1], live_parts(manifest, rows))
    for pack in sys.argv[2:]:
        print_times(pack, packed_parts(manifest, rows, Pack(Path(pack))))


def live_parts(manifest: Manifest, rows: Rows) -> Parts:
    """Each part of live decoding, as a function that does it for all rows."""
    into, scratch = np.empty((224, 224, 3), np.uint8), Scratch()
    paths = manifest.paths(rows)
    files = [read_file(path) for path in paths]
    images = [simplejpeg.decode_jpeg(data) for data in files]
    parts: Parts = {
        "read": lambda: [read_file(path) for path in paths],
        "header": lambda: [simplejpeg.decode_jpeg_header(data) for data in files],
        "resize": lambda: [fit_into(image, SPEC, into) for image in images],
    }
    for decode in ("full", "scaled"):
        scaled = decode == "scaled"
        parts[f"header and decode, {decode}"] = lambda scaled=scaled: [
            decoded_jpeg(data, SPEC, scratch, scaled=scaled) for data in files
        ]
        live = LiveImages(manifest, SPEC, decode)
        parts[f"turbo, {decode}"] = loads(live, rows, into)
    return parts


def packed_parts(manifest: Manifest, rows: Rows, pack: Pack) -> Parts:
    """Each part of reading a pack, as a function that does it for all rows."""
    into = np.empty((224, 224, 3), np.uint8)
    source = source_of(pack, manifest, SPEC, "full")
    entries = pack.entries(source.find(rows))
    held = [np.empty(entry[2], np.uint8) for entry in entries]
    target = np.empty(max(data.size for data in held), np.uint8)
    return {
        "copy of as many bytes": lambda: [np.copyto(target[: one.size], one) for one in held],
        "read from the page cache": lambda: [
            pack.read(entry, target[: entry[2]]) for entry in entries
        ],
        "packed": loads(source, rows, into),
    }


def loads(source: Source, rows: Rows, into: Pixels) -> Callable[[], object]:
    """The whole work of a loader: finds the rows and loads each."""

    def load_all() -> None:
        for row, item in zip(rows.tolist(), source.find(rows), strict=True):
            source.load(row, item, into)

    return load_all


def print_times(name: str, parts: Parts) -> None:
    """Time the parts and print them."""
    spent: dict[str, list[float]] = {part: [] for part in parts}
    for _ in range(ROUNDS):
        for part, work in parts.items():
            begin = perf_counter()
            work()
            spent[part].append((perf_counter() - begin) / IMAGES * 1e6)
    lines = [f"  {part:28} {median(times):8.1f} µs\n" for part, times in spent.items()]
    sys.stdout.write("".join([f"{name}\n", *lines]))


if __name__ == "__main__":
    main()
