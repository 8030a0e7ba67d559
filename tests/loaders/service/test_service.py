"""Batches of a service: those of tf_data, each row once, and one line for whatever is wrong."""

import shutil
import subprocess
import sys
from contextlib import closing
from itertools import islice

import numpy as np
import pytest

from feedbench.loaders import (
    Augment,
    BatchSpec,
    ImageError,
    LoaderError,
    SettingsError,
    SourceError,
    find_loader,
    open_loader,
    parse_settings,
    scan,
)

SPEC = BatchSpec(batch_size=4, image_size=32, seed=3)
IMAGE_BYTES = 32 * 32 * 3


def read(name, manifest, settings=None, spec=SPEC, epochs=2, **options):
    with open_loader(name, manifest, spec, settings, epochs=epochs, **options) as stream:
        batches = [(np.asarray(images), labels, rows) for images, labels, rows in stream]
        return batches, stream


def test_its_batches_are_those_of_tf_data(service, manifest):
    spec = BatchSpec(
        batch_size=7,
        image_size=32,
        augment=Augment(horizontal_flip=True, random_resized_crop=(0.3, 1)),
    )
    ours, stream = read("tf_data_service", manifest, {"service": service}, spec)
    theirs, _ = read("tf_data", manifest, {}, spec)
    for one, other in zip(ours, theirs, strict=True):
        for ours_of, theirs_of in zip(one, other, strict=True):
            assert np.array_equal(ours_of, theirs_of)
    assert stream.coverage() == (0, 0)


def test_rows_that_are_to_come_again_are_not_said_to_be_repeated(service, manifest):
    repeating = SPEC.model_copy(update={"balance": 1.0})
    _, stream = read("tf_data_service", manifest, {"service": service}, repeating, 1)
    assert stream.coverage() is None
    with open_loader("tf_data_service", manifest, SPEC, {"service": service}, start_step=2) as late:
        for _ in islice(late, len(manifest) // SPEC.batch_size):
            pass
        assert late.coverage() == (0, 0)


def test_augmentation_by_opencv_is_done_here(service, manifest):
    spec = SPEC.model_copy(update={"augment": Augment(horizontal_flip=True, rotation=10)})
    settings = {"output": "float32"}
    ours, _ = read("tf_data_service", manifest, {"service": service, **settings}, spec, 1)
    theirs, _ = read("tf_data", manifest, settings, spec, 1)
    for one, other in zip(ours, theirs, strict=True):
        assert np.array_equal(one[0], other[0])


def test_a_file_that_cannot_be_read_is_dropped_by_its_name(service, splits_folder, tmp_path):
    photos = shutil.copytree(splits_folder / "train", tmp_path / "photos")
    broken = photos / "bee" / "03.jpg"
    broken.write_bytes(b"no photograph")
    manifest = scan(photos, validation=0, test=0)
    with pytest.raises(ImageError, match=r"03\.jpg.*TensorFlow cannot read it"):
        read("tf_data_service", manifest, {"service": service})
    skip = {"on_error": "skip", "error_budget": 0.1}
    ours, stream = read("tf_data_service", manifest, {"service": service}, **skip)
    theirs, _ = read("tf_data", manifest, {}, **skip)
    assert [one.path for one in stream.dropped] == [str(broken)]
    assert stream.coverage() == (0, 0)
    assert stream.losses().asked_again == 0  # of the job that ended with this file
    for one, other in zip(ours, theirs, strict=True):
        assert one[2].tolist() == other[2].tolist()
        assert np.array_equal(one[0], other[0])


def test_the_bytes_of_the_network_are_those_of_the_images(service, manifest):
    settings = {"service": service, "compression": "none"}
    with open_loader("tf_data_service", manifest, SPEC, settings) as stream:
        next(stream)
        before = stream.traffic()
        images = sum(len(batch.rows) for batch in islice(stream, 60))
        crossed = stream.traffic().since(before)
    assert 0.7 < crossed.received / (images * IMAGE_BYTES) < 1.5  # with rows, and what is ahead
    assert 0 < crossed.sent < crossed.received


def test_as_they_come_each_row_still_comes_once_per_epoch(service, manifest):
    batches, _ = read("tf_data_service", manifest, {"service": service, "deterministic": False})
    rows = np.concatenate([rows for _, _, rows in batches])
    assert np.bincount(rows).tolist() == [2] * len(manifest)


def test_with_mode_off_every_worker_gives_all_rows_and_this_is_counted(service, manifest):
    settings = {"service": service, "processing_mode": "off"}
    batches, stream = read("tf_data_service", manifest, settings, epochs=1)
    rows = np.concatenate([rows for _, _, rows in batches])
    assert np.bincount(rows).tolist() == [2] * len(manifest)  # two workers
    assert stream.coverage().repeated == len(manifest)


def test_its_parts_are_measured_alone(service, manifest):
    loader = find_loader("tf_data_service")
    settings = parse_settings(loader, {"service": service, "compression": "none"})
    stages = loader.stages(manifest, SPEC, settings)
    assert stages.reading is None  # this machine reads no files
    parts = {"service workers": stages.service.workers, "network": stages.service.network}
    with closing(stages.service):
        runs = {part: stage(1) for part, stage in parts.items()}
        timed = {}
        for part, run in runs.items():
            stages.service.use_up(part)
            timed[part] = run(0.3)
        assert stages.service.count() == 2
    received = {part: one.traffic.received / one.images for part, one in timed.items()}
    assert received["service workers"] < IMAGE_BYTES / 5  # images that are made and not sent
    assert received["network"] > IMAGE_BYTES / 3  # some were received before the time began


def test_batches_that_were_made_meanwhile_are_known(service, manifest):
    with open_loader("tf_data_service", manifest, SPEC, {"service": service}) as stream:
        next(stream)
        assert stream.ready() > 2  # of two workers


def test_trainers_that_share_a_job_get_each_row_once_together(service, manifest):
    settings = {"service": service, "job_name": "shared"}
    with (
        open_loader("tf_data_service", manifest, SPEC, settings, epochs=2) as one,
        open_loader("tf_data_service", manifest, SPEC, settings, epochs=2) as other,
    ):
        first = [next(one).rows, next(other).rows]
        rows = np.concatenate([*first, *(batch.rows for batch in (*one, *other))])
    assert np.bincount(rows).tolist() == [2] * len(manifest)
    with (
        open_loader("tf_data_service", manifest, SPEC, settings, epochs=2) as again,
        pytest.raises(LoaderError, match="give another job_name"),
    ):
        list(again)


def test_a_cache_gives_each_trainer_all_batches_of_a_job(service, manifest):
    seen = []
    for trainer in ("first", "second"):
        settings = {"service": service, "job_name": "cached", "cross_trainer_cache": trainer}
        with open_loader("tf_data_service", manifest, SPEC, settings) as stream:
            seen.append([batch.rows.tolist() for batch in islice(stream, 4)])
    assert len(seen[0]) == len(seen[1]) == 4


def test_settings_that_do_not_fit_together_are_refused(manifest):
    for settings, message in (
        ({"service": "host"}, "service: must be HOST:PORT"),
        ({"service": "host:1", "workers": 2}, "leave it out with a service"),
        ({"job_name": "x"}, "needs a service"),
        ({"service": "host:1", "cross_trainer_cache": "x"}, "needs job_name"),
    ):
        with pytest.raises(SettingsError, match=message):
            open_loader("tf_data_service", manifest, SPEC, settings)


def test_shards_are_refused(tar_shards):
    with pytest.raises(SourceError, match="use another loader"):
        open_loader("tf_data_service", scan(tar_shards), SPEC)


def test_a_wrong_address_is_one_line(manifest):
    with pytest.raises(LoaderError, match="no dispatcher of the") as error:
        open_loader("tf_data_service", manifest, SPEC, {"service": "127.0.0.1:1"})
    assert "\n" not in str(error.value)


def test_a_dispatcher_that_is_checked_names_its_workers(service):
    command = [sys.executable, "-m", "feedbench.bench.cli", "serve", "--check", service]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert f"dispatcher {service} answers; registered workers: 2: 127.0.0.1:" in done.stdout


def test_a_workers_address_is_no_dispatchers(service, manifest):
    from feedbench.loaders.service import Address, workers_of

    workers = workers_of(Address.parse(service, "service"))
    assert len(workers) == 2
    with pytest.raises(LoaderError, match="this is no dispatcher"):
        open_loader("tf_data_service", manifest, SPEC, {"service": workers[0]})


def test_a_dispatcher_without_workers_is_one_line(servers, manifest):
    dispatcher = servers.start("dispatcher", "--dispatcher", "127.0.0.1:0")
    with pytest.raises(LoaderError, match="no worker has registered"):
        open_loader("tf_data_service", manifest, SPEC, {"service": dispatcher, "timeout": 0.1})
