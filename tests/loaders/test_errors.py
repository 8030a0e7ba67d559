"""A user's mistake is one line that names it, in every loader, and never a hang."""

import os
import shutil
import signal
import subprocess
import sys
import time

import pytest
from preloaded import children_of

from feedbench.loaders import (
    BatchSpec,
    ImageError,
    LoaderError,
    SettingsError,
    SourceError,
    SpecError,
    UnknownLoader,
    open_loader,
    parse_spec,
    scan,
)

SPEC = BatchSpec(batch_size=4, image_size=16)
DAMAGED = [
    ("keras_pil", {}),
    ("keras_pil", {"workers": 2}),
    ("keras_pil", {"workers": 2, "use_multiprocessing": True}),
    ("keras_directory", {}),
    ("tf_data", {}),
    ("tf_data", {"cache": "decoded"}),
    ("tf_data", {"decode": "scaled"}),
]


@pytest.mark.parametrize(
    ("name", "settings", "kind", "message"),
    [
        ("jax", {}, UnknownLoader, "no loader 'jax'; there are keras_pil"),
        ("make_dataset", {}, UnknownLoader, "a function of yours is named FILE.py:FUNCTION"),
        ("tf_data", {"prefech": 1}, SettingsError, "no 'prefech'; did you mean 'prefetch'"),
        ("tf_data", {"prefetch": -1}, SettingsError, "settings of tf_data: prefetch"),
        ("tf_data", {"cache": "ram"}, SettingsError, "cache: must be none, encoded, decoded or"),
        ("tf_data", {"cache_dir": "x"}, SettingsError, "cache_dir needs cache 'disk'"),
        ("tf_data", {"cache": "disk", "cache_dir": "/no/such"}, SettingsError, "/no/such"),
        ("keras_pil", {"workers": 1}, SettingsError, "workers must be 0 or at least 2"),
        ("keras_pil", {"use_multiprocessing": True}, SettingsError, "needs workers"),
        ("keras_directory", {"workers": 1}, SettingsError, "there are none"),
    ],
)
def test_an_invalid_setting_is_named(splits_folder, name, settings, kind, message):
    with pytest.raises(kind, match=message) as raised:
        open_loader(name, scan(splits_folder), SPEC, settings)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"batch_size": 0}, "batch_size"),
        ({"resize": "squash"}, "resize"),
        ({"antialias": True}, "antialias needs interpolation bilinear"),
        ({"value_range": [1, 0]}, "value_range: low must be below high, got 1, 0"),
        ({"size": 3}, "no 'size'"),
    ],
)
def test_an_invalid_spec_is_named(values, message):
    with pytest.raises(SpecError, match=message):
        parse_spec(values)


def test_keras_directory_refuses_what_keras_cannot_do(table, splits_folder):
    with pytest.raises(SourceError, match="CSV"):
        open_loader("keras_directory", scan(table), SPEC)
    smooth = SPEC.model_copy(update={"antialias": True, "interpolation": "bilinear"})
    with pytest.raises(SpecError, match="cannot antialias"):
        open_loader("keras_directory", scan(splits_folder), smooth)


def test_keras_directory_reads_extensions_that_keras_skips(class_folder, tmp_path):
    photos = tmp_path / "photos"
    shutil.copytree(class_folder, photos)
    hidden = [photos / "ant" / "00.pic", photos / "bee" / "01.webp"]
    for path in hidden:
        path.with_suffix(".jpg").rename(path)
    manifest = scan(photos, validation=0, test=0)
    with open_loader("keras_directory", manifest, SPEC, epochs=1) as stream:
        rows = [row for batch in stream for row in batch.rows]
    assert sorted(rows) == list(range(len(manifest)))


@pytest.mark.parametrize(("name", "settings"), DAMAGED, ids=str)
@pytest.mark.parametrize("damage", ["cut", "text", "gone"])
def test_an_unreadable_image_is_named(class_folder, tmp_path, name, settings, damage):
    photos = tmp_path / "photos"
    shutil.copytree(class_folder, photos)
    manifest = scan(photos, validation=0, test=0)
    victim = photos / "bee" / "07.jpg"
    if damage == "cut":
        victim.write_bytes(victim.read_bytes()[:-400])
    elif damage == "text":
        victim.write_text("not a photograph")
    if damage == "gone":
        if name == "keras_directory":
            pytest.skip("Keras lists the folder itself")
        victim.unlink()
    with (
        open_loader(name, manifest, SPEC, settings, epochs=1) as stream,
        pytest.raises(ImageError, match="cannot read it") as raised,
    ):
        list(stream)
    assert str(raised.value).startswith(str(victim))
    assert "\n" not in str(raised.value)


def test_a_cache_that_is_too_large_is_refused_at_the_start(splits_folder):
    vast = BatchSpec(batch_size=1, image_size=1_000_000)
    with pytest.raises(SettingsError, match="are available; use cache='disk'"):
        open_loader("tf_data", scan(splits_folder), vast, {"cache": "decoded"})
    with pytest.raises(SettingsError, match="choose another cache_dir"):
        open_loader("tf_data", scan(splits_folder), vast, {"cache": "disk"})


def test_all_errors_are_loader_errors():
    for kind in (ImageError, SettingsError, SourceError, SpecError, UnknownLoader):
        assert issubclass(kind, LoaderError)


def test_worker_processes_end_when_their_parent_is_killed(class_folder):
    code = (
        "import sys\n"
        "from feedbench.loaders import BatchSpec, open_loader, scan\n"
        "settings = {'workers': 2, 'use_multiprocessing': True, 'max_queue_size': 2}\n"
        "stream = open_loader('keras_pil', scan(sys.argv[1]), BatchSpec(batch_size=2), settings)\n"
        "next(stream), next(stream), next(stream)\n"
        "print('ready', flush=True)\n"
        "input()\n"
    )
    command = [sys.executable, "-c", code, str(class_folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as parent:
        assert parent.stdout.readline() == b"ready\n"
        children = children_of(parent.pid)
        os.kill(parent.pid, signal.SIGKILL)
    assert len(children) == 2
    deadline = time.monotonic() + 120
    while any(child.is_running() for child in children):
        assert time.monotonic() < deadline
        time.sleep(0.1)
