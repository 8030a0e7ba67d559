"""Users' functions as streams of batches, and what is said of those that give none."""

import os
import pickle
import re
import sys
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from feedbench.loaders import (
    BatchSpec,
    BudgetError,
    ImageError,
    OwnError,
    images_in,
    open_loader,
    scan,
)

SPEC = BatchSpec(batch_size=4, image_size=8)
BATCH = "(np.zeros((4, 8, 8, 3), np.uint8), np.zeros(4, int))"


@pytest.fixture
def manifest(class_folder):
    return scan(class_folder).only("train")


def pipeline(write, text):
    write("pipeline.py", "import numpy as np\n" + text)


def taken(manifest, count=3, name="pipeline.py:make", settings=None, **options):
    with open_loader(name, manifest, SPEC, settings or {}, **options) as stream:
        return [batch for _, batch in zip(range(count), stream, strict=False)]


def refused(manifest, *arguments, **options):
    with pytest.raises(OwnError) as caught:
        taken(manifest, *arguments, **options)
    assert "\n" not in str(caught.value)
    assert "feedbench" not in caught.value.details
    return str(caught.value), caught.value.details


def test_a_function_is_given_what_its_signature_names(write, manifest, class_folder):
    pipeline(
        write,
        """
def make(data, /, split, batch_size, *, image_size, classes, seed, epochs, manifest, spec, extra=5):
    given = (data, split, batch_size, image_size, classes, seed, epochs, len(manifest), spec, extra)
    return [(np.array([repr(given)]), np.zeros(1, int))]
""",
    )
    ((images, _, rows),) = taken(manifest, 1, settings={"extra": 7})
    given = (class_folder, "train", 4, 8, ["ant", "bee", "cat"], 0, None, len(manifest), SPEC, 7)
    assert (images[0], rows) == (repr(given), None)


def test_the_defaults_of_a_function_are_its_own(write, manifest):
    pipeline(write, "def make(kind=type):\n    assert kind is type\n    return [" + BATCH + "]")
    assert len(taken(manifest, 1)) == 1


@pytest.mark.parametrize(
    "body",
    [
        f"return [{BATCH}] * 2",
        f"return iter([{BATCH}] * 2)",
        f"for _ in range(2): yield {BATCH}",
        f"import tensorflow as tf; return tf.data.Dataset.from_tensors({BATCH}).repeat(2)",
    ],
    ids=["list", "iterator", "generator", "tf.data"],
)
def test_what_ends_is_started_again_until_the_consumer_has_enough(write, manifest, body):
    pipeline(write, f"def make():\n    {body}")
    assert len(taken(manifest, 5)) == 5
    assert len(taken(manifest, 5, epochs=2)) == 4


PY_DATASET = f"""
import keras

class Batches(keras.utils.PyDataset):
    def __len__(self):
        return 3
    def __getitem__(self, number):
        images, labels = {BATCH}
        return images + number, labels

def make(workers=1, processes=False):
    return Batches(workers=workers, use_multiprocessing=processes)
"""


@pytest.mark.parametrize("workers", [1, 2])
def test_a_py_dataset_is_read_in_its_order_epoch_after_epoch(write, manifest, workers):
    pipeline(write, PY_DATASET)
    batches = taken(manifest, 7, settings={"workers": workers})
    assert [int(np.asarray(one.images).max()) for one in batches] == [0, 1, 2, 0, 1, 2, 0]


def test_an_error_of_a_py_dataset_names_the_line(write, manifest):
    pipeline(write, PY_DATASET.replace("images + number", "images[number - 2, 9:10, 0, 0, 0]"))
    text, _ = refused(manifest)
    assert "pipeline.py, line 10, in __getitem__: IndexError: too many indices" in text


def test_a_batch_may_hold_several_inputs_and_outputs(write, manifest):
    pipeline(
        write,
        """
def make():
    images = {"left": np.zeros((4, 2)), "right": (np.zeros((4, 3), "f2"), np.zeros(4, bool))}
    yield images, {"kind": np.zeros(4, int), "box": np.zeros((4, 4))}
""",
    )
    (batch,) = taken(manifest, 1)
    assert set(batch.images) == {"left", "right"}
    assert images_in(batch) == 4


def test_lists_of_numbers_are_arrays(write, manifest):
    pipeline(write, f"def make():\n    yield {BATCH}[0], [0, 1, 2, 1]")
    assert taken(manifest, 1)[0].labels.tolist() == [0, 1, 2, 1]


def test_the_keys_of_a_later_batch_may_be_in_another_order(write, manifest):
    pipeline(
        write,
        "def make():\n"
        "    one = {'a': np.zeros((4, 2)), 'b': np.zeros(4)}\n"
        "    yield one, np.zeros(4)\n"
        "    yield dict(reversed(one.items())), np.zeros(4)",
    )
    assert len(taken(manifest, 2)) == 2


def test_texts_may_be_longer_in_a_later_batch(write, manifest):
    """NumPy's dtype of texts holds the length of the longest one of a batch."""
    pipeline(
        write,
        "def make():\n"
        "    for size in (1, 9, 3):\n"
        "        names = np.array(['x' * size] * 4)\n"
        "        yield {'name': names, 'bytes': names.astype('S')}, names",
    )
    assert [batch.labels[0] for batch in taken(manifest)] == ["x", "x" * 9, "xxx"]


def test_ragged_tensors_are_batches(write, manifest):
    pipeline(
        write,
        "import tensorflow as tf\ndef make():\n"
        "    yield tf.ragged.constant([[1], [2, 3]]), np.zeros(2)\n"
        "    yield tf.ragged.constant([[1], [2, 3, 4]]), np.zeros(2)",
    )
    assert [images_in(batch) for batch in taken(manifest, 2)] == [2, 2]


def test_parameters_may_have_the_names_of_pydantics_own(write, manifest):
    pipeline(
        write,
        f"""
def make(copy=1, given=2, model_config=3, model_name=4, image_dtype=5, _private=6):
    assert (copy, given, model_config, model_name, image_dtype) == (1, 9, 3, 8, 7)
    return [{BATCH}]
""",
    )
    assert taken(manifest, 1, settings={"given": 9, "model_name": 8, "image_dtype": 7})


def test_an_error_as_the_batches_end_is_ignored(write, manifest):
    pipeline(
        write,
        f"def make():\n    try:\n        while True: yield {BATCH}\n    finally:\n        1 / 0",
    )
    assert len(taken(manifest, 2)) == 2


def test_rows_are_integers_of_the_manifest(write, manifest):
    pipeline(write, f"def make():\n    yield *{BATCH}, [3, 1, 4, 1]")
    (batch,) = taken(manifest, 1)
    assert (batch.rows.dtype, batch.rows.tolist()) == (np.int64, [3, 1, 4, 1])


def test_a_stream_can_start_at_a_later_step(write, manifest):
    pipeline(write, f"def make():\n    for n in range(9): yield {BATCH}[0] + n, {BATCH}[1]")
    (batch,) = taken(manifest, 1, start_step=5)
    assert batch.images.max() == 5


EPOCHS_OF_FOUR = f"""
def make(start_step):
    end = start_step - start_step % 4 + 4
    for n in range(start_step, end): yield {BATCH}[0] + n, {BATCH}[1]
"""


def test_a_function_that_takes_start_step_is_asked_for_no_earlier_batch(write, manifest):
    pipeline(write, EPOCHS_OF_FOUR)
    batches = taken(manifest, 7, start_step=6)
    assert [int(one.images.max()) for one in batches] == [6, 7, 8, 9, 10, 11, 12]


def test_of_counted_epochs_earlier_batches_are_read_all_the_same(write, manifest):
    pipeline(write, EPOCHS_OF_FOUR)
    batches = taken(manifest, 9, epochs=2, start_step=1)
    assert [int(one.images.max()) for one in batches] == [1, 2, 3, 4, 5, 6, 7]


REPORTS = f"""
def make(manifest, report_dropped):
    while True:
        for row in range(len(manifest)):
            if row == 2:
                try:
                    report_dropped(row, ValueError("no [picture]\\nsecond line"))
                except Exception:
                    pass
            else:
                yield {BATCH}
"""


def test_images_that_a_function_reports_are_dropped(write, manifest):
    pipeline(write, REPORTS)
    options = {"on_error": "skip", "error_budget": 0.5}
    with open_loader("pipeline.py:make", manifest, SPEC, {}, **options) as stream:
        assert len(list(islice(stream, 2 * len(manifest)))) == 2 * len(manifest)
        (one,) = stream.dropped
    assert (one.path, one.row) == (manifest.path(2), 2)
    assert (one.decoder, one.reason) == ("make", "no [picture]")


def test_a_row_that_is_reported_again_after_a_resume_counts_once(write, manifest):
    pipeline(write, REPORTS)
    before = ImageError(manifest.path(2), 2, "make", "as it was before")
    options = {"on_error": "skip", "error_budget": 1.5 / len(manifest), "dropped": [before]}
    with open_loader("pipeline.py:make", manifest, SPEC, {}, **options) as stream:
        assert len(list(islice(stream, 2 * len(manifest)))) == 2 * len(manifest)
        assert stream.dropped == (before,)


def test_without_leave_to_drop_the_first_report_ends_the_stream(write, manifest):
    pipeline(write, REPORTS)
    with pytest.raises(ImageError, match=r"row 2: make cannot read it: no \[picture\]; fix or "):
        taken(manifest, 9)
    with pytest.raises(BudgetError, match=r"1 of \d+ images failed, more than the 0.10% that"):
        taken(manifest, 9, on_error="skip")


def test_a_report_of_a_row_that_is_not_there_is_the_fault_of_the_function(write, manifest):
    pipeline(write, REPORTS.replace("(row, V", "(row + 99, V").replace("Exception", "KeyError"))
    text, _ = refused(manifest, 9, on_error="skip")
    assert "pipeline.py, line 8, in make: ValueError: report_dropped takes rows of the man" in text


def test_a_report_from_another_process_is_refused(write, manifest, monkeypatch):
    pipeline(
        write, f"def make(report_dropped):\n    make.given = report_dropped\n    yield {BATCH}"
    )
    taken(manifest, 1)
    report = sys.modules["pipeline"].make.given
    with pytest.raises(RuntimeError, match="only in the process in which make was called"):
        pickle.dumps(report)
    monkeypatch.setattr(os, "getpid", lambda: 1)
    with pytest.raises(RuntimeError, match="only in the process in which make was called"):
        report(0, "lost")


RETURNED = (
    "expected a tf.data.Dataset, a Keras PyDataset, a torch DataLoader, or an iterable of (images, "
    "labels) or (images, labels, rows)"
)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("pass", f"pipeline.py, line 2: make returned None; {RETURNED}"),
        ("return [], []", f"pipeline.py, line 2: make returned a tuple of 2; {RETURNED}"),
        ("return 5", "make returned an int; expected"),
        ("return 'x'", "make returned a str; expected"),
        ("return {}", "make returned a dict; expected"),
        ("return ['a.jpg']", "batch 1 is a str, 'a.jpg'; expected (images, labels)"),
        ("return np.zeros((9, 8, 8, 3))", "batch 1 is float64 [8, 8, 3]; expected (images, "),
        ("return []", "pipeline.py, line 2: make gave no batch; expected at least one"),
        ("yield 1, 2, 3, 4", "batch 1 is a tuple of 4; expected (images, labels)"),
        ("yield ['a', 'b'], [1, 2]", "batch 1 has a str, 'a' as images[0]; expected an"),
        ("yield np.zeros((8, 8, 3)), np.zeros(())", "a single number as labels; expected one per"),
        ("yield np.zeros((8, 8, 3)), np.zeros(1)", "batch 1 has 8 images, 1 labels; expected the"),
        ("yield np.zeros((0, 8)), np.zeros(0)", "batch 1 is empty; expected at least one image"),
        (f"yield *{BATCH}, [1, 2]", "batch 1 has int64 [2] as rows; expected integers [4]"),
        (f"yield *{BATCH}, np.ones(4)", "batch 1 has float64 [4] as rows; expected integers [4]"),
        (f"yield *{BATCH}, [0, 1, 2, 999]", "batch 1 has row 999; expected rows of the manifest"),
    ],
)  # fmt: skip
def test_what_is_no_batch_is_one_line(write, manifest, body, said):
    pipeline(write, f"def make():\n    {body}")
    text, details = refused(manifest)
    assert said in text
    assert text.startswith("pipeline.py, line 2: make ") or ": make: batch 1 " in text
    assert not details


@pytest.mark.parametrize(
    ("second", "said"),
    [
        ("np.zeros((4, 9, 9, 3), np.uint8)", "uint8 [batch, 9, 9, 3] as images; expected uint8"),
        ("np.zeros((4, 8, 8, 3), 'f4')", "float32 [batch, 8, 8, 3] as images; expected uint8"),
        ("np.zeros((4, 8, 8), np.uint8)", "uint8 [batch, 8, 8] as images; expected uint8"),
    ],
)
def test_a_later_batch_of_another_form_is_one_line(write, manifest, second, said):
    pipeline(write, f"def make():\n    yield {BATCH}\n    yield {second}, {BATCH}[1]")
    text, _ = refused(manifest)
    assert f"batch 2 has {said} [batch, 8, 8, 3] as images, as in batch 1" in text


@pytest.mark.parametrize(
    ("images", "labels", "said"),
    [
        (4, 3, "batch 2 has 4 images, 3 labels; expected the same number of each"),
        (0, 0, "batch 2 is empty; expected at least one image"),
    ],
)
def test_the_sizes_of_a_later_batch_are_checked(write, manifest, images, labels, said):
    second = f"{BATCH}[0][:{images}], {BATCH}[1][:{labels}]"
    pipeline(write, f"def make():\n    yield {BATCH}\n    yield {second}")
    assert said in refused(manifest)[0]


def test_a_last_batch_may_be_smaller(write, manifest):
    pipeline(write, f"def make():\n    yield {BATCH}\n    yield [one[:3] for one in {BATCH}]")
    assert [images_in(batch) for batch in taken(manifest, 3)] == [4, 3, 4]


@pytest.mark.parametrize("at", [1, 100])
def test_an_error_names_the_line_and_shows_only_the_users_frames(write, manifest, at):
    write("helper.py", "def check(n, last):\n    if n == last:\n        raise KeyError('no [x]')\n")
    pipeline(
        write,
        f"from helper import check\ndef make():\n    for n in range(1, 200):\n"
        f"        check(n, {at})\n        yield {BATCH}",
    )
    text, details = refused(manifest, 150)
    assert text == f"helper.py, line 3, in check: KeyError: 'no [x]' (batch {at})"
    files = re.findall(r'File "(.+?)", line (\d+), in (\w+)', details)
    here = str(Path.cwd())
    assert files == [(f"{here}/pipeline.py", "5", "make"), (f"{here}/helper.py", "3", "check")]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("def make(): raise MemoryError", "line 2, in make: out of memory: MemoryError"),
        ("def make():\n    raise SystemExit(3)", "pipeline.py, line 3, in make: SystemExit: 3"),
        ("import no_such\ndef make(): ...", "pipeline.py, line 2: ModuleNotFoundError: No module"),
        ("def make(): return open('none')", "line 2, in make: FileNotFoundError: [Errno 2]"),
        ("class make:\n    def __init__(self): ...\n    def __iter__(self): return 5", "TypeError"),
    ],
)
def test_a_file_or_a_function_that_fails_is_one_line_with_its_traceback(
    write, manifest, text, said
):
    pipeline(write, text)
    line, details = refused(manifest)
    assert said in line
    assert details.startswith("Traceback (most recent call last):") or "class make" in text
    assert "importlib" not in details


def test_an_error_inside_tf_data_names_the_line_of_the_users_function(write, manifest):
    pipeline(
        write,
        """
import tensorflow as tf

def load(number):
    if number == 5:
        raise ValueError("no picture 5")
    return np.zeros((8, 8, 3), np.uint8)

def make():
    dataset = tf.data.Dataset.range(9)
    one = lambda n: (tf.ensure_shape(tf.numpy_function(load, [n], tf.uint8), [8, 8, 3]), n)
    return dataset.map(one).batch(2)
""",
    )
    text, _ = refused(manifest, 9)
    assert text == "pipeline.py, line 7, in load: ValueError: no picture 5 (batch 3)"


def test_an_iterator_that_is_spent_and_cannot_start_again_is_one_line(write, manifest):
    pipeline(write, f"once = iter([{BATCH}])\ndef make():\n    return once")
    assert "make gave no batch after 1 batches; expected" in refused(manifest)[0]


@pytest.mark.parametrize(
    ("library", "said"),
    [
        ("torch/multiprocessing/reductions", "a worker process of its DataLoader ended; if memory"),
        ("boto/http", "ConnectionResetError: reset"),
    ],
)
def test_a_connection_that_broke_is_only_to_torch_that_of_a_worker(write, manifest, library, said):
    code = f"compile('raise ConnectionResetError(\"reset\")', '/lib/{library}.py', 'exec')"
    pipeline(write, f"def make():\n    exec({code})")
    assert said in refused(manifest)[0]


def test_an_error_in_a_process_names_the_line(write, manifest):
    write(
        "work.py", "def load(n):\n    if n == 2:\n        raise ValueError('two')\n    return n\n"
    )
    pipeline(
        write,
        f"""
import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from work import load

def make():
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        for n in pool.map(load, range(9)):
            yield {BATCH}
""",
    )
    text, _ = refused(manifest, 9)
    assert text == "work.py, line 3, in load: ValueError: two (batch 3)"
