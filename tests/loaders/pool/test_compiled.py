"""The compiled module makes the images of batches, and leaves to Python what it cannot."""

import ctypes
import io
import os
import zlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

from feedbench.loaders import Augment, BatchSpec
from feedbench.loaders.images import jpeg_region
from feedbench.loaders.images.fitted_jpeg import decoder, fit_jpeg, fitting
from feedbench.loaders.pack.pack import ENTRY, FAILED, THERE
from feedbench.loaders.pool.compiled import (
    PIXELS,
    compiled_module,
    source_of_files,
    source_of_memory,
    source_of_pack,
)

SIDE = 32
BYTES = SIDE * SIDE * 3
CUT = Augment(random_resized_crop=(0.08, 1))
SPEC = BatchSpec(image_size=SIDE, interpolation="bilinear")
HOW = fitting(SPEC, scaled=False)
pytestmark = pytest.mark.skipif(
    compiled_module() is None or HOW is None,
    reason="not compiled: it is, when Feedbench is installed with a C compiler and jpeglib.h",
)


def jpeg(number, mode="RGB"):
    pixels = np.random.default_rng(number).integers(0, 256, (40 + number, 90, 3), np.uint8)
    data = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(data, "JPEG")
    return data.getvalue()


FILES = [jpeg(number) for number in range(20)]


def expected(data, crop=None):
    into = np.zeros((SIDE, SIDE, 3), np.uint8)
    assert fit_jpeg(data, HOW, into, crop)
    return into


class Made:
    """What some threads make of batches.

    Attributes:
        tasks: those that were left to Python, in any order.
    """

    def __init__(self, threads=2, most=4, act=lambda worker, task: None):
        self.module = compiled_module()
        self.queue = self.module.queue(threads, most)
        self.tasks = []
        self._act = act
        self._pool = ThreadPoolExecutor(threads)
        self._running = [self._pool.submit(self._work) for _ in range(threads)]

    def _work(self):
        worker = self.module.worker(self.queue)
        while (task := self.module.take(worker)) is not None:
            self.tasks.append(task)
            self._act(worker, task)

    def put(self, source, images, rows=None, name="batch", paths=None, crops=None, **parts):
        rows = np.arange(len(images)) if rows is None else np.asarray(rows, np.int64)
        how = {"by_python": False, "complete": False, **parts}.values()
        self.module.put(self.queue, name, len(images), *how, source, rows, paths, crops, images)

    @property
    def left(self):
        return sorted(place for _, _, places in self.tasks for place in places or ())

    def wait(self):
        assert self.module.wait(self.queue)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.module.stop(self.queue)
        for running in self._running:
            running.result()
        self._pool.shutdown()


def images(count):
    return np.full((count, SIDE, SIDE, 3), 9, np.uint8)


def written(folder, contents):
    paths = [folder / f"{number:02}.jpg" for number in range(len(contents))]
    for path, data in zip(paths, contents, strict=True):
        path.write_bytes(data)
    return [os.fsencode(path) for path in paths]


@pytest.mark.parametrize("threads", [1, 4])
def test_files_are_in_their_places(tmp_path, threads):
    large = jpeg(1) + bytes(2 << 20)  # more than a thread keeps memory for
    broken = [b"", b"text", FILES[0][:-30], jpeg(0, "CMYK")]
    readable = [*FILES, large]
    paths = [*written(tmp_path, [*readable, *broken]), b"missing", os.fsencode(tmp_path), b"a\0b"]
    into = images(len(paths))
    with Made(threads) as made:
        made.put(source_of_files(decoder(HOW)), into, paths=paths)
        made.wait()
    assert made.left == list(range(len(readable), len(paths)))
    assert made.tasks[-1] == ("batch", None, None)  # a row may have to take the place of another
    for data, image in zip(readable, into, strict=False):
        assert np.array_equal(image, expected(data))


def test_a_batch_that_is_read_whole_never_comes_to_python(tmp_path):
    into, crops = images(len(FILES)), CUT.draw_crops(0, np.zeros(20, int), np.arange(20))
    with Made() as made:
        made.put(source_of_files(decoder(HOW)), into, paths=written(tmp_path, FILES), crops=crops)
        made.wait()
    assert not made.tasks
    for data, crop, image in zip(FILES, crops, into, strict=True):
        assert np.array_equal(image, expected(data, crop))


def test_batches_end_in_order_and_python_gets_the_pieces_that_it_wants():
    stored = np.random.default_rng(0).integers(0, 256, (50, SIDE, SIDE, 3), np.uint8)
    source, filled = source_of_memory(stored), []
    with Made(threads=3) as made:
        for number in range(10):
            rows = np.random.default_rng(number).integers(50, size=17)
            filled.append((rows, images(17)))
            parts = {"by_python": number % 2 == 1, "complete": number == 5}
            made.put(source, filled[-1][1], rows, number, **parts)
        for rows, batch in filled:
            made.wait()
            assert np.array_equal(batch, stored[rows])
    pieces = [piece for number, piece, _ in made.tasks if number == 3]
    assert sorted(place for piece in pieces for place in range(*piece)) == list(range(17))
    assert {number for number, _, _ in made.tasks} == {1, 3, 5, 7, 9}
    assert [number for number, piece, _ in made.tasks if piece is None] == [5]
    assert not made.left


def test_without_a_source_all_images_are_left_to_python_fewer_at_the_end():
    with Made(threads=1, most=100) as made:
        made.put(None, images(16))
        made.wait()
    assert made.left == list(range(16))
    sizes = [last - first for _, piece, _ in made.tasks if piece for first, last in [piece]]
    assert sizes == [8, 4, 2, 1, 1]


def pack_of(contents, folder):
    """The rows of a file, one after the other, and their index."""
    index, offset = np.zeros(len(contents), ENTRY), 0
    for entry, data in zip(index, contents, strict=True):
        entry["offset"], entry["length"] = offset, len(data)
        entry["crc32"], entry["state"] = zlib.crc32(data), THERE
        offset += len(data)
    (folder / "shard").write_bytes(b"".join(contents))
    return index, os.open(folder / "shard", os.O_RDONLY)


def test_rows_of_a_pack_are_checked_once(tmp_path):
    rows = [bytes([number]) * BYTES for number in range(6)]
    index, file = pack_of(rows, tmp_path)
    positions, checked = np.array([5, 4, 3, 2, 1, 0, 9, -1]), np.zeros(8, np.bool_)
    index["crc32"][0] ^= 1
    index["state"][1] = FAILED
    source = source_of_pack(index, positions, np.array([file], np.int32), checked, PIXELS)
    into = images(9)
    with Made() as made:
        made.put(source, into, [0, 1, 2, 3, 4, 5, 6, 7, 8])
        made.wait()
        assert made.left == [4, 5, 6, 7, 8]
        assert checked.tolist() == [True] * 4 + [False] * 4
        assert (into[:4] == np.array([5, 4, 3, 2])[:, None, None, None]).all()
        index["crc32"] = 0
        made.put(source, into, [3] * 9)
        made.wait()
    assert (into == 2).all()
    os.close(file)


def test_rows_that_end_before_they_should_are_left(tmp_path):
    index, file = pack_of([bytes(BYTES)] * 3, tmp_path)
    index["offset"][1] += BYTES + 1
    index["shard"][0] = 7
    index["length"][2] -= 1
    source = source_of_pack(
        index, np.arange(3), np.array([file], np.int32), np.zeros(3, np.bool_), PIXELS
    )
    with Made() as made:
        made.put(source, images(3))
        made.wait()
    assert made.left == [0, 1, 2]
    os.close(file)


def test_jpegs_of_a_pack_are_decoded_whatever_their_lengths(tmp_path):
    contents = [*FILES, b"", b"text", FILES[0][:-30], FILES[1] + bytes(2 << 20)]
    index, file = pack_of(contents, tmp_path)
    count = len(contents)
    source = source_of_pack(
        index,
        np.arange(count),
        np.array([file], np.int32),
        np.zeros(count, np.bool_),
        decoder(HOW),
    )
    into = images(count)
    with Made() as made:
        made.put(source, into)
        made.wait()
    assert made.left == [20, 21, 22]
    for number in (*range(20), 23):
        assert np.array_equal(into[number], expected(contents[number]))
    os.close(file)


@pytest.mark.parametrize("length", [*range(1, 20), 4099])
def test_the_checksum_is_that_of_zlib(tmp_path, length):
    data = np.random.default_rng(length).integers(0, 256, length, np.uint8)
    index, file = pack_of([data.tobytes()], tmp_path)
    source = source_of_pack(
        index, np.arange(1), np.array([file], np.int32), np.zeros(1, np.bool_), PIXELS
    )
    into = np.zeros((1, length), np.uint8)
    with Made() as made:
        made.put(source, into)
        made.wait()
    assert not made.tasks
    assert np.array_equal(into[0], data)
    os.close(file)


def test_a_batch_that_fails_is_not_waited_for_until_others_are_done():
    def fail(worker, task):
        compiled_module().fail(worker)

    with Made(act=fail) as made:
        made.put(None, images(100))
        made.wait()
        made.wait()  # it stays the oldest
    assert len(made.left) < 100


@pytest.mark.parametrize(
    ("module", "inner"),
    [(compiled_module(), "release"), (jpeg_region.compiled_module(), "read_header")],
)
def test_functions_of_other_libraries_are_not_called_instead_of_its_own(module, inner):
    library = ctypes.CDLL(module.__file__)
    assert hasattr(library, "PyInit_" + module.__name__.rpartition(".")[2])
    assert not hasattr(library, inner)


def test_nothing_is_begun_after_a_stop():
    module = compiled_module()
    queue = module.queue(2, 8)
    module.stop(queue)
    into = images(3)
    module.put(queue, "batch", 3, False, False, source_of_memory(images(3) + 1), np.arange(3),
               None, None, into)  # fmt: skip
    assert module.take(module.worker(queue)) is None
    assert not module.wait(queue)
    assert (into == 9).all()


def test_memory_that_does_not_fit_is_refused():
    module = compiled_module()
    queue, files = module.queue(1, 1), source_of_files(decoder(HOW))
    memory, rows, crops = source_of_memory(images(2)), np.arange(3), np.zeros((3, 24), np.float32)

    def put(source, rows=rows, paths=None, crops=None, out=None):
        out = images(3) if out is None else out
        module.put(queue, "batch", 3, False, False, source, rows, paths, crops, out)

    refused = (
        (files, {"rows": rows[:2]}),
        (files, {"rows": rows.astype(np.int32)}),
        (files, {"crops": crops[:2]}),
        (files, {"crops": crops.astype(float)}),
        (files, {"out": images(2)}),
        (memory, {"out": images(3)[:, 1:].copy()}),
        (memory, {"out": images(3).astype(np.int16)}),
        ("text", {}),
        (files, {"paths": ["text"] * 3}),
        (files, {"paths": [b"path"]}),
        (files, {"paths": None}),
    )
    for source, wrong in refused:
        with pytest.raises((ValueError, TypeError, IndexError, SystemError)):
            put(source, **wrong)
    for wrong in ((0, 1), (1, 0)):
        with pytest.raises(ValueError, match="at least 1"):
            module.queue(*wrong)
    with pytest.raises(ValueError, match="no task"):
        module.fail(module.worker(queue))
    with pytest.raises(ValueError, match="other types or sizes"):
        module.from_pack(images(1), rows, rows.astype(np.int32), images(1), None, ())
