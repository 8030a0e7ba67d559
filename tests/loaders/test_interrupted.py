"""A stream that Ctrl-C or an error has ended says so when it is asked again, and closes."""

import sys
import threading

import numpy as np
import pytest

from feedbench.loaders import LOADERS, BatchSpec, ImageError, LoaderError, open_loader, scan, stream

SPEC = BatchSpec(batch_size=8, image_size=32, seed=3)
SETTINGS = {"packed": {"pack": "arrays"}, "ffcv": {"pack_dir": "betons"}}
CHOICES = [name for name, loader in LOADERS.items() if loader.is_choice]
OWN = {
    "an iterator": """
import numpy as np

class Batches:
    def __init__(self):
        self.count = 0
    def __iter__(self):
        return self
    def __next__(self):
        self.count += 1
        return np.zeros((8, 32, 32, 3), np.uint8), np.zeros(8, int)

def make():
    return Batches()
""",
    "tf.data": """
import numpy as np
import tensorflow as tf

def make():
    one = np.zeros((8, 32, 32, 3), np.uint8), np.zeros(8, int)
    return tf.data.Dataset.from_tensors(one).repeat(9)
""",
}


def interrupt(batches) -> None:
    """Ask for a batch, and raise as Ctrl-C does in the first function that this calls."""

    def raise_within(frame, event, argument):
        if event == "call" and frame.f_code is not type(batches).__next__.__code__:
            sys.setprofile(None)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        _next_under(raise_within, batches)


def _next_under(profile, batches) -> None:
    sys.setprofile(profile)
    try:
        next(batches)
    finally:
        sys.setprofile(None)


def check(batches) -> None:
    """Check an interrupted stream."""
    for _ in range(2):
        with pytest.raises(LoaderError, match="this stream was interrupted") as raised:
            next(batches)
        assert "\n" not in str(raised.value)
    batches.close()
    with pytest.raises(LoaderError, match="this stream is closed"):
        next(batches)


@pytest.mark.usefixtures("beside_packs")
@pytest.mark.parametrize("name", CHOICES)
def test_a_stream_that_was_interrupted_does_not_end_as_if_all_had_come(name, for_loader):
    before = set(threading.enumerate())
    with open_loader(name, for_loader(name), SPEC, SETTINGS.get(name, {})) as batches:
        next(batches)
        interrupt(batches)
        check(batches)
    assert set(threading.enumerate()) <= before


@pytest.mark.parametrize("kind", OWN)
def test_batches_of_own_code_end_with_an_interrupt_too(kind, class_folder, tmp_path):
    file = tmp_path / f"interrupted_{len(kind)}.py"  # a module is imported once
    file.write_text(OWN[kind])
    manifest = scan(class_folder).only("train")
    with open_loader(f"{file}:make", manifest, SPEC) as batches:
        next(batches)
        interrupt(batches)
        check(batches)


def test_a_dataset_of_an_interrupted_stream_says_so(class_folder):
    with open_loader("turbo", scan(class_folder).only("train"), SPEC) as batches:
        dataset = batches.as_dataset()
        interrupt(batches)
        with pytest.raises(Exception, match="this stream was interrupted"):
            list(dataset.skip(1).take(1))


def test_an_error_is_repeated_with_what_to_do():
    def failing():
        yield stream.Batch(np.zeros(1), np.zeros(1), np.zeros(1))
        raise ImageError("a.jpg", 3, "Pillow", "broken")

    batches = stream.Stream(failing())
    next(batches)
    with pytest.raises(ImageError):
        next(batches)
    with pytest.raises(LoaderError, match=r"ended by an error; open the loader again; .*a\.jpg"):
        next(batches)


def test_the_end_of_all_batches_stays_their_end():
    batches = stream.Stream(iter([1]))
    assert [*batches] == [1]
    assert [*batches] == []
