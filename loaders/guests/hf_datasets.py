"""hf_datasets: Hugging Face `datasets`, rows of an Arrow table behind Torch's DataLoader.

As its documentation recommends for training: batches of rows are taken at once, in the worker
processes of a DataLoader, from Arrow files that are mapped into memory. Parquet files are converted
to these first; of folders and CSVs the table holds the paths.

Source: https://huggingface.co/docs/datasets/use_with_pytorch and /image_dataset.
"""

from __future__ import annotations

import tempfile
from functools import partial
from typing import Any

from feedbench.loaders.augment.regions import Crops
from feedbench.loaders.contract import Loader, Request, Stream
from feedbench.loaders.errors import SourceError
from feedbench.loaders.guests.hf_tables import IMAGE, Positions, hf_dataset
from feedbench.loaders.guests.images import Images
from feedbench.loaders.guests.map_style import (
    MAP_STYLE_SPACE,
    MapStyleSettings,
    decode_limit,
    open_map_style,
)
from feedbench.loaders.guests.package import Package
from feedbench.loaders.guests.stages import image_stages
from feedbench.loaders.images.resize import Pixels
from feedbench.loaders.manifest import Layout, Manifest
from feedbench.loaders.order import Rows

_LAYOUTS: tuple[Layout, ...] = ("folder", "splits", "csv", "arrow", "parquet")


class HfDatasets(MapStyleSettings):
    """Settings of `hf_datasets`."""


class TableImages:
    """The images of a table's rows: what `fill` reads from."""

    def __init__(
        self, dataset: Any, positions: Positions, manifest: Manifest, images: Images
    ) -> None:
        self._dataset, self._positions = dataset, positions
        self._manifest, self._images = manifest, images

    def find(self, rows: Rows) -> list[tuple[bytes, dict[str, Any]]]:
        """Return the address of each row, and what the table holds of it, taken at once."""
        cells = self._dataset[self._positions[rows].tolist()][IMAGE]
        return list(zip(self._manifest.paths(rows), cells, strict=True))

    def load(self, row: int, item: tuple[bytes, dict[str, Any]], into: Pixels) -> None:
        """Write the image of a row, uint8 `[image_size, image_size, 3]`.

        Raises:
            ImageError: it cannot be read.
        """
        address, cell = item
        if cell["bytes"] is None:
            self._images.load(row, address, into)
        else:
            self._images.fit(row, address, cell["bytes"], into)

    def load_region(
        self, row: int, item: tuple[bytes, dict[str, Any]], into: Pixels, crop: Crops
    ) -> None:
        """Write a random-resized crop of the image of a row.

        Raises:
            ImageError: it cannot be read.
        """
        address, cell = item
        if cell["bytes"] is None:
            self._images.load_region(row, address, into, crop)
        else:
            self._images.fit(row, address, cell["bytes"], into, crop)


def open_stream(request: Request, settings: HfDatasets) -> Stream:
    """Batches whose rows the worker processes take from the table and decode."""
    if request.manifest.layout not in _LAYOUTS:
        raise SourceError(
            f"{request.manifest.root}: hf_datasets reads folders, CSVs, Arrow and Parquet files, "
            f"not {request.manifest.layout}; use another loader"
        )
    folder = tempfile.TemporaryDirectory(prefix="feedbench-hf-", ignore_cleanup_errors=True)
    try:
        dataset, positions = hf_dataset(request.manifest, folder.name)
        source = partial(_source, dataset, positions, request, settings)
        return open_map_style("hf_datasets", request, settings, source, folder.cleanup)
    except BaseException:
        folder.cleanup()
        raise


def _source(
    dataset: Any, positions: Positions, request: Request, settings: HfDatasets
) -> TableImages:
    manifest = request.manifest
    images = Images(manifest, request.spec, settings.decoder, settings.decode)
    return TableImages(dataset, positions, manifest, images)


LOADER = Loader(
    name="hf_datasets",
    turns_by_scan=True,
    summary="Hugging Face datasets: rows of an Arrow table, decoded by the processes of a "
    "DataLoader",
    settings=HfDatasets,
    open=open_stream,
    layouts=_LAYOUTS,
    space=MAP_STYLE_SPACE,
    suites={"peers": ({"decoder": ["pillow", "simplejpeg"]},)},
    upper_bound=decode_limit,
    stages=image_stages,
    reads_objects=False,
    cuts_no_regions=lambda settings: None,
    package=Package("datasets", ("datasets", "torch")),
)
