"""Code for the order of the images: the seeded permutations of `loaders.order`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from feedbench.loaders.code.text import lines, wrapped

if TYPE_CHECKING:
    from feedbench.loaders.spec import BatchSpec

_ROWS = '''def shuffled_rows({given}, seed, epochs):
    """Return the numbers of images, epoch after epoch, each in a new random order.

    A batch may hold the end of one epoch and the start of the next: all are full.
    """

    def permutation(epoch):
        {permutation}

    def rows(epoch):
        numbers = tf.numpy_function(permutation, [epoch], tf.int64)
        return tf.ensure_shape(numbers, [None])

    if epochs is None:
        numbers = tf.data.Dataset.counter()
    else:
        numbers = tf.data.Dataset.range(epochs)
    return numbers.map(rows).unbatch()'''

_PERMUTATION = "return np.random.default_rng([seed, epoch]).permutation(count)"
_BALANCED = """rows = balanced_rows(labels, seed, epoch)
        return rows[np.random.default_rng([seed, epoch]).permutation(len(rows))]"""
_SORTED = "return balanced_rows(labels, seed, epoch)"

_BALANCED_ROWS = '''def balanced_rows(labels, seed, epoch):
    """Return the images of one epoch, those of rare classes several times."""
    counts = np.bincount(labels)
    wanted = counts.max() * (counts / counts.max()) ** {power}
    rows = []
    for label in np.flatnonzero(counts):
        of_class = np.flatnonzero(labels == label)
        times, rest = divmod(round(wanted[label]), len(of_class))
        random = np.random.default_rng([seed, epoch, label])
        rows += [np.tile(of_class, times), random.permutation(of_class)[:rest]]
    return np.concatenate(rows)'''

_STEPS = '''def steps_per_epoch(data, split="train", batch_size={batch_size}):
    """Return the number of batches per epoch, which `model.fit` has to know."""
    images = {images}
    return math.ceil(images / batch_size)'''


def row_functions(spec: BatchSpec) -> list[str]:
    """`shuffled_rows` and what it calls; nothing if the order is that of the files."""
    if not spec.balance:
        return [_ROWS.format(given="count", permutation=_PERMUTATION)] if spec.shuffle else []
    permutation = _BALANCED if spec.shuffle else _SORTED
    return [
        _ROWS.format(given="labels", permutation=permutation),
        _BALANCED_ROWS.format(power=1 - spec.balance),
    ]


def choice_of_rows(spec: BatchSpec, *, training: bool) -> str:
    """The lines that set `rows`.

    Args:
        training: whether `training` is set before them.
    """
    given = "labels" if spec.balance else "len(paths)"
    in_order = "rows = tf.data.Dataset.range(len(paths)).repeat(epochs)"
    if not (training and (spec.shuffle or spec.balance)):
        return f"    {in_order}"
    return lines(
        "    if training:",
        f"        rows = shuffled_rows({given}, seed, epochs)",
        "    else:",
        f"        {in_order}",
    )


def steps_function(spec: BatchSpec) -> str:
    """`steps_per_epoch(data, split, batch_size)`."""
    if not spec.balance:
        return _STEPS.format(batch_size=spec.batch_size, images="len(list_images(data, split)[1])")
    images = """len(list_images(data, split)[1])
    if split == "train":
        images = len(balanced_rows(list_images(data, split)[1], 0, 0))"""
    return _STEPS.format(batch_size=spec.batch_size, images=images)


def make_dataset_line(spec: BatchSpec) -> str:
    """The first line of `make_dataset`."""
    defaults = ['split="train"', f"batch_size={spec.batch_size}", f"seed={spec.seed}"]
    return wrapped("def make_dataset(", ["data", *defaults, "epochs=None"], "):")


MAIN = """if __name__ == "__main__":  # python THIS_FILE DATA
    if len(sys.argv) != 2:
        sys.exit("usage: python THIS_FILE DATA")
    batches = iter(make_dataset(sys.argv[1]))
    next(batches)  # takes longer: everything starts
    begin, images = time.perf_counter(), 0
    while time.perf_counter() - begin < 10:
        images += len(next(batches)[1])
    rate = images / (time.perf_counter() - begin)
    print(f"{rate:,.0f} images per second, with nothing to train")"""
