"""Code of a `keras.utils.PyDataset` that gives the batches of `keras_pil`."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from feedbench.loaders.code.listing import listing_constants, listing_functions
from feedbench.loaders.code.request import Code, CodeRequest
from feedbench.loaders.code.rows import MAIN, make_dataset_line, steps_function
from feedbench.loaders.code.stream import stream_code
from feedbench.loaders.code.text import lines, module, number, wrapped
from feedbench.loaders.code.tf_data import USAGE

if TYPE_CHECKING:
    from feedbench.loaders.spec import BatchSpec

_DRAWN = """
The images to mirror are drawn by NumPy: other ones than those of Feedbench for the
same seed."""

_SHUFFLED = '''@functools.lru_cache(maxsize=2)
def shuffled(count, seed, epoch):
    """Return the numbers of all images in the random order of an epoch."""
    return np.random.default_rng([seed, epoch]).permutation(count)'''

_INIT = '''class Photos(keras.utils.PyDataset):
    """Batches: images, float32 [batch, {size}, {size}, 3], and labels, int32 [batch]."""

    def __init__(self, paths, labels, batch_size, seed, epochs, training):
        {settings}
        self.paths, self.labels = paths, labels
        self.batch_size, self.seed = batch_size, seed
        self.epochs, self.training = epochs, training

    @property
    def num_batches(self):
        """Return how many there are; None if they have no end."""
        if self.epochs is None:
            return None
        return math.ceil(self.epochs * len(self.paths) / self.batch_size)

    def rows(self, number):
        """Return the images of a batch, which may go on in the next epoch."""
        count = len(self.paths)
        places = np.arange(number * self.batch_size, (number + 1) * self.batch_size)
        if self.epochs is not None:
            places = places[places < self.epochs * count]
        if not self.training:
            return places % count
        order = [
            shuffled(count, self.seed, place // count)[place % count]
            for place in places.tolist()
        ]
        return np.array(order)

    def __getitem__(self, number):
        rows = self.rows(number)
        images = np.stack([load(self.paths[row]) for row in rows])'''

_FLIP = """        if self.training:  # mirror each image with probability 0.5
            flips = np.random.default_rng([self.seed, number]).random(len(rows)) < 0.5
            for place in np.flatnonzero(flips):
                images[place] = images[place, :, ::-1]"""

_LOAD = '''def load(path):
    """Return an image, float32 [{size}, {size}, 3], 0 to 255."""
    size = (IMAGE_SIZE, IMAGE_SIZE)
    image = keras.utils.load_img(path, target_size=size{crop})
    return keras.utils.img_to_array(image, dtype="float32")'''

_MAKE = '''    """Return batches of the images of a split; without `epochs` they have no end.

    Only training images are shuffled{flipped}.
    """
    paths, labels = list_images(data, split)
    return Photos(paths, labels, batch_size, seed, epochs, training=split == "train")'''


def keras_pil_code(request: CodeRequest) -> Code:
    """The module that gives the batches of this spec; a few lines that open the loader if rare."""
    spec = request.spec
    if not _is_usual(spec):
        return stream_code(request)
    flips = spec.augment.horizontal_flip
    body = module(
        lines(f"IMAGE_SIZE = {spec.image_size}", listing_constants(request)),
        lines(make_dataset_line(spec), _MAKE.format(flipped=" and mirrored at random" * flips)),
        steps_function(spec),
        lines(
            _INIT.format(size=spec.image_size, settings=_settings(request)),
            flips and _FLIP,
            _in_range(spec),
            "        return images, self.labels[rows]",
        ),
        _LOAD.format(
            size=spec.image_size, crop=", keep_aspect_ratio=True" * (spec.resize == "crop")
        ),
        _SHUFFLED,
        *listing_functions(request),
        MAIN if not request.settings.workers else None,
    )
    return Code(lines(USAGE, flips and _DRAWN), body)


def _is_usual(spec: BatchSpec) -> bool:
    """Whether a few lines of NumPy and `load_img` do what the spec asks for."""
    return (
        spec.shuffle
        and not spec.balance
        and spec.resize != "pad"
        and spec.interpolation == "nearest"
        and spec.orientation == "ignore"
        and spec.value_range != "imagenet"
        and spec.augment.only_flips
        and not spec.augment.on_device
    )


def _in_range(spec: BatchSpec) -> str:
    """The lines that bring pixels of 0 to 255 into the value range, without another batch."""
    low, high = cast("tuple[float, float]", spec.value_range)
    return lines(
        high - low != 255 and f"        images *= {number(high - low)} / 255",
        bool(low) and f"        images {'-' if low < 0 else '+'}= {number(abs(low))}",
    )


def _settings(request: CodeRequest) -> str:
    """The call that passes the settings to Keras."""
    values = request.settings.model_dump(
        exclude={"read_depth"}
    )  # of object storage, unknown to Keras
    if not values["workers"]:
        return "super().__init__()  # one batch after the other, in the thread of the training"
    given = [f"{name}={value!r}" for name, value in values.items()]
    return wrapped("super().__init__(", given, ")", width=80)
