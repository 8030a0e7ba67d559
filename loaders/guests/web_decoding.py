"""What the workers of WebDataset's pipeline run at its ends: opening shards, decoding samples."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from feedbench.loaders.augment.host import augmenter
from feedbench.loaders.augment.regions import Crops
from feedbench.loaders.contract import Request
from feedbench.loaders.errors import ImageError
from feedbench.loaders.guests.data_loader import array_of, shared_tensor
from feedbench.loaders.guests.filling import Filled, in_range
from feedbench.loaders.guests.images import Images
from feedbench.loaders.guests.map_style import DecodingSettings
from feedbench.loaders.guests.web_rows import Found


class Decoding:
    """The last stage of the pipeline: decodes lists of samples into batches.

    An error is yielded, not raised: Torch would raise another one, whose text is a traceback.
    """

    def __init__(self, request: Request, settings: DecodingSettings, epoch: int) -> None:
        self._request, self._settings = request, settings
        self._epoch = epoch - 1

    def __call__(self, parts: Iterable[list[Found]]) -> Iterator[tuple[Any, Filled] | Exception]:
        """One epoch."""
        self._epoch += 1
        for part in parts:
            try:
                made = self._made(part)
            except Exception as error:
                yield error
                return
            yield made

    def _made(self, part: list[Found]) -> tuple[Any, Filled]:
        side = self._request.spec.image_size
        pixels = shared_tensor((len(part), side, side, 3), "uint8")
        good, failed = self._decode(part, array_of(pixels))
        rows = np.array(good, np.int64)
        pixels = pixels[: len(rows)]
        draws = self._request.order.draws_of(np.full(len(rows), self._epoch), rows)
        augmenter(self._request.spec)(array_of(pixels), draws)
        if self._settings.output == "float32":
            images = shared_tensor((len(rows), side, side, 3), "float32")
            in_range(self._request, array_of(pixels), array_of(images))
            pixels = images
        return pixels, Filled(rows, draws, failed)

    def _decode(
        self, part: list[Found], into: NDArray[np.uint8]
    ) -> tuple[list[int], list[ImageError]]:
        """Decode the samples one after the other; return the rows, and what failed.

        Those that an earlier part of the run dropped are not left out before: the rest would be
        shuffled into another order, and a resumed epoch would repeat some and miss others.
        """
        good: list[int] = []
        failed: list[ImageError] = []
        crops = self._crops(part)
        for index, (row, path, data) in enumerate(part):
            if row in self._request.order.unreadable:
                continue
            crop = None if crops is None else crops[index]
            try:
                self._images.fit(row, path, data, into[len(good)], crop)
                good.append(row)
            except ImageError as error:
                failed.append(error)
                self._request.faults.tolerance.check(len(failed), error)
        return good, failed

    def _crops(self, part: list[Found]) -> Crops | None:
        """The random-resized crops of some samples; None if images are used whole."""
        order, rows = self._request.order, np.array([found.row for found in part], np.int64)
        if order.augment.random_resized_crop is None:
            return None
        return order.augment.draw_crops(order.seed, np.full(len(rows), self._epoch), rows)

    @cached_property
    def _images(self) -> Images:
        settings, request = self._settings, self._request
        return Images(request.manifest, request.spec, settings.decoder, settings.decode)


class Opening:
    """Opens the shards, in place of a stage that takes their paths for URLs and closes none."""

    def __call__(self, urls: Iterable[dict[str, str]]) -> Iterator[dict[str, Any]]:
        """The opened shards, one after the other."""
        for url in urls:
            path = url["url"]
            with open(path, "rb") as stream:  # noqa: PTH123  a Path may write it in another way
                yield {"url": path, "stream": stream, "local_path": path}
