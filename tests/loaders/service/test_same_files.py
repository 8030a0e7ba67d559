"""Workers that read other files than the trainer, as on a machine with another copy."""

import shutil
import subprocess
import sys
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from feedbench.loaders import BatchSpec, LoaderError, open_loader, scan
from feedbench.loaders.service.health import ServiceError
from feedbench.loaders.service.same_files import SameFiles, digest

SPEC = BatchSpec(batch_size=4, image_size=32)


def test_a_file_with_other_bytes_is_named(manifest):
    rows, given = np.array([3, 1]), np.array([True, True])
    own = [int(digest(Path(manifest.path(row)).read_bytes())) for row in rows]
    SameFiles(manifest).check(rows, given, np.array(own))
    files = SameFiles(manifest)
    files.check(rows, given, np.array([own[0], own[1] + 1]))
    with pytest.raises(ServiceError, match="do not read the same file") as error:
        files.check(rows, given, np.array([own[0], own[1] + 1]))  # the second place
    assert manifest.path(1) in str(error.value)


def test_a_file_that_was_not_read_there_or_is_not_here_is_left_out(splits_folder, tmp_path):
    photos = shutil.copytree(splits_folder / "train", tmp_path / "photos")
    manifest = scan(photos, validation=0, test=0)
    rows, wrong = np.array([0]), np.array([0])
    SameFiles(manifest).check(rows, np.array([False]), wrong)
    shutil.rmtree(photos)
    SameFiles(manifest).check(rows, np.array([True]), wrong)


SERVE = 'mount --bind "$1" "$2" && shift 2 && exec "$@"'


def worker_with(servers, dispatcher, other, place):
    """Start a worker that sees something else at a place of the file system."""
    hidden = ["unshare", "--mount", "--propagation", "private", "sh", "-c", SERVE, "sh"]
    if subprocess.run([*hidden, other, place, "true"], capture_output=True).returncode:
        pytest.skip("NOT TESTED HERE: mount namespaces are not permitted")
    serve = [sys.executable, "-m", "feedbench.bench.cli", "serve", "--worker", "127.0.0.1:0"]
    process = subprocess.Popen(
        list(map(str, [*hidden, other, place, *serve, "--of", dispatcher])),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    servers.processes[str(place)] = process
    assert process.stdout.readline(), process.stderr.read()


@pytest.mark.beyond
@pytest.mark.timeout(300)
def test_a_worker_with_other_files_ends_a_run_with_one_line(servers, splits_folder, tmp_path):
    here, there = (
        shutil.copytree(splits_folder / "train", tmp_path / name) for name in ("here", "there")
    )
    files = sorted(there.rglob("*.jpg"))
    for path, data in zip(files, [one.read_bytes() for one in reversed(files)], strict=True):
        path.write_bytes(data)
    dispatcher = servers.start("dispatcher", "--dispatcher", "127.0.0.1:0")
    worker_with(servers, dispatcher, there, here)
    manifest = scan(here, validation=0, test=0)
    with (
        open_loader("tf_data_service", manifest, SPEC, {"service": dispatcher}) as stream,
        pytest.raises(LoaderError, match="do not read the same file as this machine") as error,
    ):
        list(islice(stream, 999))
    assert "\n" not in str(error.value)


@pytest.mark.beyond
@pytest.mark.timeout(300)
def test_a_file_that_only_the_workers_lack_is_decoded_here_and_counted(
    servers, splits_folder, tmp_path
):
    photos = shutil.copytree(splits_folder / "train", tmp_path / "photos")
    dispatcher = servers.start("dispatcher", "--dispatcher", "127.0.0.1:0")
    worker_with(servers, dispatcher, "/dev/null", photos / "bee" / "03.jpg")
    manifest = scan(photos, validation=0, test=0)
    found = {}
    for name, settings in (("tf_data_service", {"service": dispatcher}), ("tf_data", {})):
        with open_loader(name, manifest, SPEC, settings, epochs=2) as stream:
            found[name] = [np.asarray(batch.images) for batch in stream]
            if name == "tf_data_service":
                assert stream.losses().decoded_here == 2  # once per epoch
                assert not stream.dropped
    for ours, theirs in zip(*found.values(), strict=True):
        assert np.array_equal(ours, theirs)
