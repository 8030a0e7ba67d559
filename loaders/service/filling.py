"""From what a service made to batches: images that its workers could not read are filled in here.

A worker reads no file that TensorFlow cannot, and cannot say why a file failed. This process can:
such an image is decoded here, and one that cannot be read here either is dropped by its name.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from feedbench.loaders.augment.draws import FLIP
from feedbench.loaders.contract import Batch, Dtype, Request
from feedbench.loaders.files import read_file
from feedbench.loaders.images.tensorflow import Decode
from feedbench.loaders.order import Rows
from feedbench.loaders.service.health import ServiceError
from feedbench.loaders.service.image_work import ImageWork
from feedbench.loaders.service.same_files import SameFiles
from feedbench.loaders.tf_rows import Element
from feedbench.loaders.tf_stream import unreadable


class Filling:
    """Makes batches of elements.

    Attributes:
        order: of the request, without the rows that were dropped since.
        filled: number of images that were decoded here although the workers should read them.
    """

    def __init__(
        self, request: Request, decode: Decode, output: Dtype, *, is_elsewhere: bool
    ) -> None:
        """Prepare it.

        Args:
            is_elsewhere: whether the workers may have other files than this machine.
        """
        self.order = request.order
        self.filled = 0
        self._request = request
        self._work = ImageWork(request, decode, output, python=True)
        self._same_files = SameFiles(request.manifest) if is_elsewhere else None

    def batch(self, element: Element) -> Batch:
        """The batch of an element.

        Raises:
            LoaderError: an image cannot be read and may not be dropped, or the workers read none,
                or other files.
        """
        rows, given, images = element["row"].numpy(), element["given"].numpy(), element["image"]
        if self._same_files is not None:
            self._same_files.check(rows, given, element["digest"].numpy())
        begin = int(element["step"]) * self.order.batch_size
        if not given.all():
            images, rows = np.array(images), np.array(rows)
            self._fill(begin, rows, given, images)
        draws = self.order.draws(begin, begin + len(rows))
        if rows.tolist() != self.order.rows(begin, begin + len(rows)).tolist():
            epochs = self.order.epochs_at(begin, begin + len(rows))
            draws = self.order.draws_of(epochs, rows)
        return self._request.batch(self._work.finished(images, draws), rows, draws)

    def _fill(self, begin: int, rows: Rows, given: Any, images: Any) -> None:
        missing = np.flatnonzero(~given).tolist()
        for index in missing:
            asked = rows[index]
            image = self._image(begin + index, rows, index)
            expected = not self._work.is_for_pillow(int(rows[index]))
            if expected and len(missing) == len(rows) > 1:
                raise ServiceError(
                    f"the workers of the tf.data service cannot read {self._path(rows[index])}, "
                    "which this machine can: give them the same files under the same paths"
                )
            self.filled += int(expected and rows[index] == asked)
            images[index] = image

    def _image(self, position: int, rows: Rows, index: int) -> Any:
        """The image of a row, or of the one that takes its place; notes that in `rows`."""
        while True:
            row = int(rows[index])
            if row not in self.order.unreadable:
                failed = unreadable(np.array([row]), self._request.manifest, self._work.decoding)
                if not failed:
                    return self._decoded(position, row)
                self._request.faults.add(failed[0])
                self.order = self.order.without([row])
            rows[index] = self.order.rows(position, position + 1)[0]

    def _decoded(self, position: int, row: int) -> Any:
        codes = self._work.decoding.decode_paths
        data = read_file(self._request.manifest.paths(np.array([row]))[0])
        crops = self.order.crops(position, position + 1)
        flipped = self.order.draws(position, position + 1)[0, FLIP] > 0
        code = None if codes is None else codes[row]
        image = self._work(data, code, None if crops is None else crops[0], flipped)
        return np.asarray(image)

    def _path(self, row: int) -> str:
        return self._request.manifest.path(int(row))
