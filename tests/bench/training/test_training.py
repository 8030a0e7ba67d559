"""The main job, end to end: bench with the real trainer, train with its winner."""

import csv
import json
import os
import shutil
import subprocess
import sys
import tomllib

import numpy as np
import pytest

from feedbench.bench.analysis.best import Best, Predicted
from feedbench.bench.analysis.estimate import Estimate
from feedbench.bench.consumers.trainer import make_trainer
from feedbench.bench.errors import RecordError
from feedbench.bench.training.dropped import DROPPED, Drops, read_drops
from feedbench.bench.training.rate_check import check_rate
from feedbench.bench.training.train import each_once
from feedbench.loaders import Batch, BatchSpec, ImageError, Stream, open_loader, scan
from feedbench.loaders.faults import Faults, tolerance
from feedbench.trainer import Recipe

FACTS = {"processor": "p", "cores": 2, "gpus": []}


def feedbench(*arguments) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "feedbench.bench.cli", *map(str, arguments)],
        text=True,
        check=False,
        capture_output=True,
        env={**os.environ, "COLUMNS": "200"},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_winner_of_a_bench_trains_to_the_end(tiny_photos, tmp_path):
    measured, trained = tmp_path / "bench", tmp_path / "train"
    told = feedbench(
        "bench",
        tiny_photos,
        "--loader",
        "tf_data",
        "--set",
        "tf_data.cache=decoded",
        "--blocks",
        2,
        "--block-seconds",
        0.5,
        "--warm-up-seconds",
        0.5,
        "--alpha",
        0.35,
        "--image-size",
        32,
        "--batch-size",
        8,
        "--out",
        measured,
    )
    assert "Take tf_data cache=decoded" in told
    summary = json.loads((measured / "summary.json").read_text())
    assert [trial["loader"] for trial in summary["trials"]] == ["tf_data", "synthetic"]
    assert summary["trials"][1]["accelerator_utilization"] == 1
    best = tomllib.loads((measured / "best.toml").read_text())
    assert best["predicted"]["images_per_second"]["median"] > 0

    told = feedbench("train", tiny_photos, "--loader", measured, "--epochs", 3, "--out", trained)
    assert "predicted" in told
    assert "Test accuracy" in told
    with (trained / "history.csv").open() as file:
        assert [row["images"] for row in csv.DictReader(file)] == ["48", "48", "48"]
    result = json.loads((trained / "training.json").read_text())
    assert result["spec"]["image_size"] == 32
    assert result["promise"]["met"] in (True, False)
    assert (trained / "model.keras").exists()
    assert tomllib.loads((trained / "recipe.toml").read_text()) == result["recipe"]


def test_files_that_fail_in_evaluation_are_dropped_and_named(tiny_photos, tmp_path):
    photos = shutil.copytree(tiny_photos, tmp_path / "photos")
    broken = [photos / split / "circle" / "1.jpg" for split in ("validation", "test")]
    for path in broken:
        path.write_bytes(path.read_bytes()[:200])
    options = ["--alpha", 0.35, "--image-size", 32, "--batch-size", 8, "--epochs", 1]
    failed = ["--on-error", "skip", "--error-budget", 0.2, "--out", tmp_path / "run"]
    told = feedbench("train", photos, "--loader", "tf_data", *options, *failed)
    result = json.loads((tmp_path / "run" / "training.json").read_text())
    assert [one["path"] for one in result["dropped"]] == [str(path) for path in broken]
    assert "2 files failed and were passed over" in told
    assert "of 7 images" in told


def test_a_row_counts_once_in_an_evaluation():
    given = [[0, 1, 2, 2], [2, 2], [3, 1, 4]]
    batches = [Batch(np.array(rows), np.array(rows), np.array(rows)) for rows in given]
    kept = [(batch.rows.tolist(), batch.images.tolist()) for batch in each_once(batches, 5)]
    assert kept == [([0, 1, 2], [0, 1, 2]), ([3, 4], [3, 4])]


def best(**values) -> Best:
    figure = Estimate(value=100, low=95, high=105)
    return Best(
        **{
            "loader": "tf_data",
            "predicted": Predicted(images_per_second=figure),
            "recipe": Recipe().model_dump(),
            "machine": FACTS,
            **values,
        }
    )


def test_a_promise_is_met_when_the_intervals_touch():
    assert check_rate(best(), [10, 94, 94, 96], Recipe(), FACTS).met is True


def test_a_missed_promise_says_by_how_much():
    missed = check_rate(best(), [10, 80, 80, 80], Recipe(), FACTS)
    assert missed.met is False
    assert missed.text.startswith("Missed by 20.0%")


@pytest.mark.parametrize(
    ("values", "rates", "recipe", "why"),
    [
        ({"predicted": None}, [1, 2], Recipe(), "No rate was predicted"),
        ({"consumer": "drain"}, [1, 2], Recipe(), "without the trainer"),
        ({"machine": {"cores": 64}}, [1, 2], Recipe(), "another machine"),
        ({}, [1, 2], Recipe(alpha=0.5), "another network"),
        ({}, [1], Recipe(), "single epoch"),
    ],
)
def test_what_cannot_be_compared_is_not(values, rates, recipe, why):
    result = check_rate(best(**values), rates, recipe, FACTS)
    assert result.met is None
    assert why in result.text


def test_what_a_training_dropped_is_known_when_it_goes_on(tmp_path):
    faults = [
        ImageError("a\udcff.jpg", 3, "Pillow", "cut"),
        ImageError("b.jpg", 5, "the system", "no"),
    ]
    dropped = {}
    drops = Drops(tmp_path, Stream(iter(()), faults=Faults(tolerance("skip", 1, 9), dropped)))
    drops.keep()
    assert not (tmp_path / DROPPED).exists()
    for fault in faults:
        dropped[fault.row] = fault
        drops.keep()
        drops.keep()
    assert [error.args for error in read_drops(tmp_path)] == [fault.args for fault in faults]
    with (tmp_path / DROPPED).open("a") as file:
        file.write('{"path": "torn')
    assert len(read_drops(tmp_path)) == 2
    (tmp_path / DROPPED).write_text("{}\n")
    with pytest.raises(RecordError, match=DROPPED):
        read_drops(tmp_path)


def test_loaders_with_the_same_pixels_and_seed_train_to_the_same_curve(tiny_photos):
    manifest = scan(tiny_photos).only("train")
    augment = {"horizontal_flip": True, "rotation": 10, "jpeg_quality": (50, 90)}
    spec = BatchSpec(batch_size=8, image_size=32, seed=2, augment=augment, balance=0.5)
    recipe = Recipe(alpha=0.35, epochs=3, base_learning_rate=0.1)
    curves = []
    for name, settings in [("keras_pil", {}), ("tf_data", {"decode": "jpeg", "cache": "decoded"})]:
        with open_loader(name, manifest, spec, settings, epochs=2) as batches:
            dtype = "uint8" if name == "tf_data" else "float32"
            trainer = make_trainer(recipe, spec, manifest, dtype)
            losses = []
            for batch in batches:
                trainer.start_epoch()
                trainer.step(batch)
                losses.append(trainer.progress()["loss"])
            curves.append(losses)
    assert len(curves[0]) > 8
    assert curves[0] == pytest.approx(curves[1], rel=0.01)
