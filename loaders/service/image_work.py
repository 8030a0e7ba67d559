"""What is done to one image: by the workers in their graph, and here to fill a gap."""

from __future__ import annotations

from typing import Any

from feedbench.loaders.contract import Dtype, Request
from feedbench.loaders.images.decode_path import DECODE_PATHS, PILLOW
from feedbench.loaders.images.tensorflow import Decode, Decoding
from feedbench.loaders.images.tensorflow_finish import augment, flip, to_bytes, to_range
from feedbench.loaders.images.tensorflow_resize import resizer


class ImageWork:
    """From the bytes of a file to an image as it travels.

    Flips and range are applied before an image travels. All other augmentation is OpenCV's, which
    the graph of a remote worker cannot call: `finished` does it when the batch is here.

    Attributes:
        decoding: decodes by the audit.
        cuts: whether random-resized crops are cut out.
        flips: whether images are flipped before they travel.
    """

    def __init__(self, request: Request, decode: Decode, output: Dtype, *, python: bool) -> None:
        """Prepare it.

        Args:
            python: whether it may call Python.
        """
        spec, on_host = request.spec, request.spec.augment.on_host
        self.decoding = Decoding(request.manifest, spec, decode, python=python)
        self.cuts = spec.augment.random_resized_crop is not None
        self.flips = bool(on_host) and on_host.only_flips
        self._augments_here = bool(on_host) and not on_host.only_flips
        self._spec = spec
        self._output = output
        self._resize = resizer(spec.as_resized())

    @property
    def dtype(self) -> Dtype:
        """The dtype of images as they travel."""
        return "uint8" if self._augments_here else self._output

    def __call__(self, data: Any, code: Any, crop: Any, flipped: Any) -> Any:
        """The image of a file's bytes, `[side, side, 3]`.

        Args:
            code: the row's entry of `decode_paths`; any value if there are none.
            crop: the row's random-resized crop; any value if none are cut.
            flipped: whether it is to be flipped; any value if none are.
        """
        decode = self.decoding
        image = decode.region(data, code, crop) if self.cuts else decode(data, code)
        image = self._resize(image)
        if self.flips:
            image = flip(image, flipped)
        return to_range(image, self._spec) if self.dtype == "float32" else to_bytes(image)

    def is_for_pillow(self, row: int) -> bool:
        """Whether a row is left to Pillow, which no graph of a service has."""
        codes = self.decoding.decode_paths
        return codes is not None and int(codes[row]) % DECODE_PATHS == PILLOW

    def finished(self, images: Any, draws: Any) -> Any:
        """The images of a batch, with what is left to do here."""
        if not self._augments_here:
            return images
        augmented = augment(images, draws, self._spec)
        return to_range(augmented, self._spec) if self._output == "float32" else augmented
