"""The files of a training's folder are read back, and a folder of something else is refused."""

import json
import os
import shutil

import pytest

from feedbench.bench.analysis.best import Best
from feedbench.bench.errors import RecordError
from feedbench.bench.training.folder import (
    check_same_files,
    check_same_run,
    check_writable,
    read_config_to_resume,
    read_training,
    record_images,
    run_identity,
    write_config,
)
from feedbench.loaders import scan
from feedbench.trainer import Recipe

BEST = Best(loader="tf_data", settings={"cache": "decoded"}, spec={"batch_size": 8})


def test_a_configuration_is_read_back_until_the_training_is_finished(tmp_path):
    recipe = Recipe(alpha=0.35, epochs=3)
    with pytest.raises(RecordError, match=r"no recipe\.toml; give the folder of a training"):
        read_config_to_resume(tmp_path)
    write_config(tmp_path, BEST, recipe)
    assert read_config_to_resume(tmp_path) == (BEST, recipe)
    (tmp_path / "training.json").write_text("{}")
    with pytest.raises(RecordError, match="this training is finished"):
        read_config_to_resume(tmp_path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"recipe": Recipe(epochs=3)}, r"recipe\.toml differs from"),
        ({"best": BEST.model_copy(update={"loader": "turbo"})}, r"loader\.toml differs from"),
        ({"split": "test"}, "training images differ from"),
    ],
)
def test_a_checkpoint_of_another_training_is_refused(tmp_path, tiny_photos, changes, message):
    def identity(best=BEST, recipe=None, split="train"):
        return run_identity(best, recipe or Recipe(), scan(tiny_photos).only(split))

    check_same_run(tmp_path, identity(), json.loads(json.dumps(identity())))
    with pytest.raises(RecordError, match=message):
        check_same_run(tmp_path, identity(), identity(**changes))


def test_files_that_changed_since_the_start_are_refused_unless_they_were_dropped(
    tmp_path, tiny_photos
):
    folder, photos = tmp_path / "run", shutil.copytree(tiny_photos, tmp_path / "photos")
    folder.mkdir()
    images = scan(photos).only("train")
    check_same_files(folder, images, [])  # started by an earlier version
    record_images(folder, images)
    check_same_files(folder, images, [])
    os.utime(images.path(7))
    check_same_files(folder, images, [7])
    with pytest.raises(RecordError, match=f"{images.path(7)} has changed: modified .*; undo the"):
        check_same_files(folder, images, [3])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "give the folder of a finished training"),
        ("text", "not the result of a training"),
        ('{"epochs": [], "promise": {}, "recipe": {}}', "no 'spec' in it"),
    ],
)
def test_what_is_not_the_result_of_a_training_is_refused(tmp_path, text, message):
    path = tmp_path / "training.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(RecordError, match=message):
        read_training(path)


def test_the_check_for_a_writable_folder_leaves_no_file(tmp_path):
    check_writable(tmp_path)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(RecordError, match="name another"):
        check_writable(tmp_path / "missing")
