"""Code that calls Keras' `image_dataset_from_directory` as `keras_directory` does."""

from __future__ import annotations

from typing import TYPE_CHECKING

from feedbench.loaders.code.images import (
    augment_function,
    in_range,
    range_constants,
)
from feedbench.loaders.code.listing import listing_constants, listing_functions
from feedbench.loaders.code.request import Code, CodeRequest
from feedbench.loaders.code.rows import MAIN, make_dataset_line
from feedbench.loaders.code.text import lines, module
from feedbench.loaders.code.tf_data import USAGE, notes

if TYPE_CHECKING:
    from feedbench.loaders.spec import BatchSpec

_STEPS = '''def steps_per_epoch(data, split="train", batch_size={batch_size}):
    """Return the number of batches per epoch, which `model.fit` has to know."""
    return math.ceil(len(list_images(data, split)[1]) / batch_size)'''

_LINKS = '''def folder_of_links(data, split):
    """Return a folder with one folder per class, of links to the images of a split.

    Keras lists a whole folder, and skips files without an extension that it knows.
    """
    folder = Path(tempfile.mkdtemp())
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    paths, labels = list_images(data, split)
    for label in range(max(labels) + 1):
        (folder / f"{label:05}").mkdir()
    for number, (path, label) in enumerate(zip(paths, labels, strict=True)):
        (folder / f"{label:05}" / f"{number:09}.jpg").symlink_to(os.path.abspath(path))
    return folder'''


def keras_directory_code(request: CodeRequest) -> Code:
    """The module that gives the batches of this spec."""
    spec = request.spec
    constants = lines(
        f"IMAGE_SIZE = {spec.image_size}", range_constants(spec), listing_constants(request)
    )
    body = module(
        constants,
        _make_dataset(spec),
        _STEPS.format(batch_size=spec.batch_size),
        _LINKS,
        augment_function(spec),
        *listing_functions(request),
        MAIN,
    )
    return Code(lines(USAGE, *notes(spec, "float32")), body)


def _make_dataset(spec: BatchSpec) -> str:
    augments, ranged = bool(spec.augment), in_range(spec, "images")
    trains = augments or spec.shuffle
    finishes = augments or ranged != "tf.cast(images, tf.float32)"
    shape = f"[batch, {spec.image_size}, {spec.image_size}, 3]"
    return lines(
        make_dataset_line(spec),
        f'    """Return a dataset of images, float32 {shape}, and labels.\n',
        "    Without `epochs` it has no end. Keras shuffles in a window of 8 batches.",
        '    """',
        trains and '    training = split == "train"',
        "    dataset = keras.utils.image_dataset_from_directory(",
        "        folder_of_links(data, split),",
        "        batch_size=batch_size,",
        "        image_size=(IMAGE_SIZE, IMAGE_SIZE),",
        f"        shuffle={'training' if spec.shuffle else False},",
        spec.shuffle and "        seed=seed,",
        f'        interpolation="{spec.interpolation}",',
        spec.resize == "crop" and "        crop_to_aspect_ratio=True,",
        spec.resize == "pad" and "        pad_to_aspect_ratio=True,",
        "        verbose=False,",
        "    )",
        finishes and "\n" + _finish(augments, ranged) + "\n",
        _map(augments, finishes),
        "    return dataset.prefetch(tf.data.AUTOTUNE)",
    )


def _finish(augments: bool, ranged: str) -> str:
    return lines(
        "    def finish(number, batch):" if augments else "    def finish(images, labels):",
        augments and "        images, labels = batch",
        augments and "        if training:",
        augments and "            images = augment(images, tf.stack([seed, number]))",
        f"        return {ranged}, labels",
    )


def _map(augments: bool, finishes: bool) -> str:
    repeated = "    dataset = dataset.repeat(epochs)"
    if not finishes:
        return repeated
    return lines(
        repeated + (".enumerate()" if augments else ""),
        "    dataset = dataset.map(finish, num_parallel_calls=tf.data.AUTOTUNE)",
    )
