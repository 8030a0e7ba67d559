"""The files of a training's folder are read back, and a folder of something else is refused."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from feedbench.bench.analysis.best import Best
from feedbench.bench.errors import RecordError
from feedbench.bench.training.folder import (
    check_same_run,
    check_writable,
    claimed,
    read_config_to_resume,
    read_training,
    removed_if_refused,
    run_identity,
    write_config,
)
from feedbench.loaders import scan
from feedbench.trainer import Recipe

PUBLISHED = Path(__file__).parents[3] / "results/clothing-training/scratch/training.json"
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


READ = r"""
import sys
from pathlib import Path
from feedbench.bench.analysis.best import read_best
from feedbench.bench.training.predictions import each_prediction
from feedbench.trainer.history import Epoch, write_history

folder = Path(sys.argv[1])
assert read_best(folder / "loader.toml").settings == {"pack": "/fotos/\u00fc"}
((path, one),) = each_prediction(folder)
assert (path, one.label) == ("a.jpg", "\u00fc")
epoch = Epoch(1, 8, 1.0, 0.5, 0.1, 1.0, 0.5, 1.0, 0.5, metrics={"pr\u00e9cision": 0.5})
write_history([epoch], folder / "history.csv")
"""


def test_files_are_utf8_whatever_the_locale(tmp_path):
    best = Best(loader="packed", settings={"pack": "/fotos/ü"}, spec={"batch_size": 8})
    write_config(tmp_path, best, Recipe())
    (tmp_path / "predictions.csv").write_text(
        "path,label,predicted,probability\na.jpg,ü,ü,0.5\n", encoding="utf-8"
    )
    ascii_only = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    done = subprocess.run(
        [sys.executable, "-c", READ, tmp_path],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **ascii_only},
    )
    assert done.returncode == 0, done.stderr
    assert "précision" in (tmp_path / "history.csv").read_text("utf-8")


def test_the_check_for_a_writable_folder_leaves_no_file(tmp_path):
    check_writable(tmp_path)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(RecordError, match="name another"):
        check_writable(tmp_path / "missing")


def test_a_folder_belongs_to_one_training_at_a_time(tmp_path):
    with claimed(tmp_path):
        with pytest.raises(RecordError, match="another training writes to it"), claimed(tmp_path):
            pass
        assert list(tmp_path.iterdir()) == []
    with claimed(tmp_path):
        pass


@pytest.mark.parametrize(
    ("names", "is_kept"),
    [
        ([], False),
        (["train.log", "recipe.toml", "loader.toml", "classes.json", "tensorboard/events"], False),
        (["train.log", "checkpoint.npz"], True),
        (["train.log", "diverged.json"], True),
        (["tensorboard/plugins/profile"], True),
        (["notes.txt"], True),
    ],
)
def test_a_refused_training_leaves_its_folder_only_if_it_holds_something(tmp_path, names, is_kept):
    folder = tmp_path / "run"
    folder.mkdir()
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    with pytest.raises(RecordError, match="refused"), removed_if_refused(folder):
        raise RecordError("refused")
    assert folder.exists() == is_kept
    assert [(folder / name).exists() for name in names] == [is_kept] * len(names)


def test_a_result_without_a_test_is_read_as_one_without_a_test_split(tmp_path):
    values = json.loads(PUBLISHED.read_text())
    del values["test"]
    (tmp_path / "training.json").write_text(json.dumps(values))
    assert read_training(tmp_path / "training.json")["test"] is None


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda values: values["epochs"][2].pop("images"), r"epochs.*2.*images"),
        (lambda values: values["epochs"].clear(), "epochs"),
        (lambda values: values["epochs"][0].update(train_s="long"), "train_s"),
        (lambda values: values["epochs"][0].update(train_s="5"), "train_s"),
        (lambda values: values["images"]["train"].update(hat="5"), "images.train.*hat"),
        (lambda values: values.update(spec=[]), "spec"),
        (lambda values: values.pop("loader"), "loader"),
        (lambda values: values["promise"].pop("text"), "promise.*text"),
    ],
)
def test_a_damaged_result_is_refused_with_its_field(tmp_path, damage, message):
    values = json.loads(PUBLISHED.read_text())
    damage(values)
    path = tmp_path / "training.json"
    path.write_text(json.dumps(values))
    with pytest.raises(RecordError, match=message):
        read_training(path)
