"""A user's function in every command that takes a loader."""

import json
import os
import shlex
import shutil
import subprocess
import sys
import tomllib
from textwrap import dedent

import pytest
import tomli_w

from feedbench.bench.analysis.best import Best, resolve_loader
from feedbench.bench.commands.option_values import parse_set
from feedbench.bench.commands.overlay import chosen_loaders
from feedbench.bench.errors import PlanError
from feedbench.bench.plan.plan import Choice, expand
from feedbench.bench.plan.settings import with_settings
from feedbench.bench.plan.suites import select_suite
from feedbench.bench.tune.space import alternatives, grid_size
from feedbench.loaders import LoaderError, find_loader, parse_settings, scan
from feedbench.loaders.own.settings import given

NAME = "code/pipeline.py:make_dataset"
PIPELINE = """
    from model import labelled

    SPACE = {"workers": [2, 4]}

    def make_dataset(data, split, manifest, batch_size, image_size, epochs, workers=2, scale=1.0):
        import tensorflow as tf

        assert (data / split).is_dir()
        paths = [manifest.path(row) for row in range(len(manifest))]

        def load(path, label, row):
            image = tf.io.decode_jpeg(tf.io.read_file(path), channels=3)
            image = tf.image.resize(image, [image_size, image_size], "nearest")
            return tf.cast(image, tf.float32) / 255 * scale, label, row

        dataset = tf.data.Dataset.from_tensor_slices((paths, *labelled(manifest)))
        dataset = dataset.map(load, num_parallel_calls=workers).batch(batch_size)
        return dataset.repeat(epochs).prefetch(1)
    """
MODEL = """
    import numpy as np

    def labelled(manifest):
        return manifest.labels, np.arange(len(manifest))
    """


@pytest.fixture
def beside(tmp_path, monkeypatch):
    """A folder with `code/pipeline.py`, which is the working directory."""
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "pipeline.py").write_text(dedent(PIPELINE))
    (tmp_path / "code" / "model.py").write_text(dedent(MODEL))
    (tmp_path / "small.toml").write_text('network = "MobileNet"\nalpha = 0.25\n')
    monkeypatch.chdir(tmp_path)
    return tmp_path


def feedbench(*arguments, expected=0):
    done = subprocess.run(
        [sys.executable, "-m", "feedbench.bench.cli", *map(str, arguments)],
        text=True,
        check=False,
        capture_output=True,
        env={**os.environ, "COLUMNS": "200"},
    )
    assert done.returncode == expected, done.stdout + done.stderr
    return done.stdout if expected == 0 else done.stderr


SMALL = ["--image-size", 32, "--batch-size", 8]
QUICK = ["--blocks", 1, "--block-seconds", 0.1, "--warm-up-seconds", 0.1]


def test_a_bench_feeds_the_trainer_and_its_winner_trains(beside, tiny_photos):
    shutil.copytree(tiny_photos, "photos")
    recipe = ["--recipe", "small.toml"]
    chosen = ["--loader", NAME, "--set", "make_dataset.workers=1"]
    said = feedbench("bench", "photos", *chosen, *recipe, *SMALL, *QUICK, "--out", "bench")
    assert f"{NAME} workers=1: " in said
    assert "Nothing to compare it with: add --loader " in said
    best = tomllib.loads((beside / "bench" / "best.toml").read_text())
    assert (best["loader"], best["settings"]) == (NAME, {"workers": 1})
    trained = feedbench("train", "photos", "--loader", "bench", "--epochs", 1, "--out", "train")
    assert trained.splitlines()[-1].startswith("Next: feedbench ")
    result = json.loads((beside / "train" / "training.json").read_text())
    assert result["own"]["file"] == str(beside / "code" / "pipeline.py")
    assert result["test"] is not None
    assert len((beside / "train" / "predictions.csv").read_text().splitlines()) == 1 + 8


FULL_RANGE = ["--set", "make_dataset.scale=255", "--consumer", "drain"]


def test_the_training_named_after_a_bench_has_the_value_range_of_the_batches(beside, tiny_photos):
    shutil.copytree(tiny_photos, "photos")
    chosen = ["--loader", NAME, *FULL_RANGE, "--recipe", "small.toml"]
    said = feedbench("bench", "photos", *chosen, *SMALL, *QUICK, "--out", "bench")
    command = next(line for line in said.splitlines() if line.startswith("Next: feedbench "))
    words = shlex.split(command)[2:]
    assert words[-2:] == ["--value-range", "0,255"]
    feedbench(*words, "--epochs", 1, "--out", "train")
    result = json.loads((beside / "train" / "training.json").read_text())
    assert result["spec"]["value_range"] == [0, 255]


FEEDS = """
    import numpy as np

    from .names import SIDE

    def make(batch_size, workers=8):
        while True:
            yield np.zeros((batch_size, SIDE, SIDE, 3), np.uint8), np.zeros(batch_size, int)
    """


def test_an_installed_package_brings_a_loader(beside, tiny_photos, monkeypatch):
    site = beside / "site-packages"
    (site / "mine").mkdir(parents=True)
    (site / "mine" / "__init__.py").touch()
    (site / "mine" / "names.py").write_text("SIDE = 32")
    (site / "mine" / "feeds.py").write_text(dedent(FEEDS))
    (site / "mine-1.0.dist-info").mkdir()
    entry = "[feedbench.loaders]\nfast = mine.feeds:make\n"
    (site / "mine-1.0.dist-info" / "entry_points.txt").write_text(entry)
    monkeypatch.setenv("PYTHONPATH", f"{os.environ.get('PYTHONPATH', '')}{os.pathsep}{site}")
    chosen = ["--loader", "fast", "--set", "fast.workers=2,None", "--consumer", "drain"]
    feedbench("bench", tiny_photos, *chosen, *SMALL, *QUICK, "--out", "out")
    summary = json.loads((beside / "out" / "summary.json").read_text())
    assert [trial["error"] for trial in summary["trials"]] == [None, None]
    best = tomllib.loads((beside / "out" / "best.toml").read_text())
    assert (best["loader"], best["settings"]["workers"] in (2, "None")) == ("fast", True)


def test_an_error_of_the_users_code_is_shown_without_ours(beside, tiny_photos):
    said = feedbench(
        "diagnose", tiny_photos, "--loader", NAME, "--set", "make_dataset.scale=x",
        "--consumer", "emulated:a100", *SMALL, "--seconds", 1, "--images", 8, expected=2,
    )  # fmt: skip
    assert "Traceback" in said
    trace, _, last = said.rstrip().rpartition("\n")
    assert last.startswith("feedbench: loader: code/pipeline.py, line 15, in load: TypeError: ")
    assert 'pipeline.py", line 18, in make_dataset' in trace
    assert "feedbench/" not in trace


def test_a_suite_file_takes_it_and_its_settings_make_a_grid(beside, tiny_photos):
    (beside / "mine.toml").write_text(
        f'[[trial]]\nloader = "{NAME}"\nsettings = {{ workers = [1, 2] }}\n'
        f'[[trial]]\nloader = "turbo"\n'
    )
    settings = parse_set(["make_dataset.scale=1,2"])
    suite = select_suite("mine.toml", [], settings, scan(tiny_photos))
    assert [str(choice) for choice in expand(suite.trial)] == [
        f"{NAME} workers={workers} scale={scale}" for workers in (1, 2) for scale in (1, 2)
    ] + ["turbo"]


@pytest.mark.parametrize(
    ("text", "loaders", "example"),
    [
        ("workers=8", ["turbo", NAME], "make_dataset.workers=8"),
        ("workers=8", ["turbo"], "tf_data.prefetch=4"),
        ("workers", [NAME], "tf_data.prefetch=4"),
    ],
)
def test_a_setting_without_a_loader_is_shown_with_the_function_that_was_named(
    text, loaders, example
):
    with pytest.raises(PlanError) as raised:
        parse_set([text], loaders)
    assert str(raised.value) == f"--set {text}: must be LOADER.NAME=VALUE, such as {example}"


@pytest.mark.parametrize("named", ["make_dataset", NAME])
def test_its_settings_are_set_by_its_short_or_its_full_name(beside, named):
    (choice,) = with_settings([Choice(loader=NAME)], parse_set([f"{named}.workers=8"]))
    assert choice.settings == {"workers": 8}


def test_a_setting_of_another_function_is_one_line(beside):
    with pytest.raises(PlanError, match="no loader 'make_datset'; did you mean 'make_dataset'"):
        with_settings([Choice(loader=NAME)], {"make_datset": {"workers": 8}})
    with pytest.raises(LoaderError, match="make_dataset has no parameter 'wrkers'; did you mean"):
        expand([Choice(loader=NAME, settings={"wrkers": 8})])


VALUES = "def make(sizes=(), flip=False, scale=1.0, workers=8, **more): ..."


def test_values_of_any_kind_reach_the_function_from_the_command_line_and_from_a_best_toml(beside):
    (beside / "values.py").write_text(VALUES)
    sets = ["make.sizes=[1, 2]", "make.flip=True", "make.scale=0.5", "make.workers=None"]
    (choice,) = expand(with_settings([Choice(loader="values.py:make")], parse_set(sets)))
    expected = {"sizes": [1, 2], "flip": True, "scale": 0.5, "workers": None}
    assert choice.settings == expected
    best = Best(loader=choice.loader, settings={**choice.settings, "more": [None, 1]})
    (beside / "best.toml").write_text(tomli_w.dumps(best.model_dump(exclude_none=True)))
    assert resolve_loader("best.toml").settings == best.settings
    (again,) = expand(chosen_loaders(["best.toml"]))
    loader = find_loader(again.loader)
    assert given(parse_settings(loader, again.settings)) == {**expected, "more": [None, 1]}


def test_resolve_loader_tells_a_function_from_a_best_toml(beside):
    assert resolve_loader(NAME).loader == NAME
    with pytest.raises(LoaderError, match=r"code/pipeline\.py: name one of its functions too"):
        resolve_loader("code/pipeline.py")
    with pytest.raises(LoaderError, match=r"code/none\.py: no such file in .+ There are "):
        resolve_loader("code/none.py:f")


def test_tune_searches_the_space_of_the_file(beside):
    tried = alternatives(Choice(loader=NAME), "workers")
    assert [choice.settings for choice in tried] == [{"workers": 4}]
    assert grid_size([NAME]) == 2
    (beside / "code" / "pipeline.py").unlink()
    assert grid_size([NAME]) == 1  # as when the record of a search is shown elsewhere
