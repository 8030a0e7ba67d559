"""A training with unreadable files, and the parts of a training."""

import json
import shutil
import sys
from itertools import count
from pathlib import Path

import numpy as np
import pytest
from short_network import NAME, SHORT

from feedbench.bench.analysis.best import Best, Predicted
from feedbench.bench.analysis.estimate import Estimate
from feedbench.bench.cli import main
from feedbench.bench.consumers.trainer import make_trainer
from feedbench.bench.errors import RecordError
from feedbench.bench.training.dropped import DROPPED, DroppedLog, read_dropped
from feedbench.bench.training.evaluation import without_repeats
from feedbench.bench.training.rate_check import Basis, TimedEpoch, check_rate, timed_parts
from feedbench.loaders import Batch, BatchSpec, ImageError, Stream, open_loader, scan
from feedbench.loaders.faults import Faults, tolerance
from feedbench.trainer import Recipe

BASIS = Basis({"processor": "p", "cores": 2, "gpus": []}, rows="of these images")


@pytest.fixture
def small_recipe(tmp_path, short_network):
    """A recipe file of the network that is built and traced fastest."""
    path = tmp_path / "small.toml"
    path.write_text(f'network = "{NAME}"\nalpha = 0.25\n')
    return path


def test_files_that_cannot_be_read_and_classes_without_test_images_are_left_out(
    tiny_photos, tmp_path, small_recipe, monkeypatch, capsys
):
    photos = shutil.copytree(tiny_photos, tmp_path / "photos")
    shutil.rmtree(photos / "test" / "square")
    broken = [photos / split / "circle" / "1.jpg" for split in ("train", "validation", "test")]
    for path in broken:
        path.write_bytes(path.read_bytes()[:200])
    options = ["--recipe", small_recipe, "--image-size", 32, "--batch-size", 8, "--epochs", 1]
    skip = ["--on-error", "skip", "--error-budget", 0.3, "--out", tmp_path / "run"]
    arguments = ["train", photos, "--loader", "tf_data", *options, *skip]
    monkeypatch.setattr(sys, "argv", ["feedbench", *map(str, arguments)])
    with pytest.raises(SystemExit, match="0"):
        main()
    output = capsys.readouterr().out
    text = (tmp_path / "run" / "training.json").read_text()
    result = json.loads(text, parse_constant=pytest.fail)  # of NaN, which is not JSON
    assert [image["path"] for image in result["dropped"]] == [str(path) for path in broken]
    assert [error.path for error in read_dropped(tmp_path / "run")] == [str(broken[0])]
    assert "Unreadable files skipped: 3, listed in training.json" in output
    assert "of 3 images" in output
    circle, square = result["per_class"]
    assert (circle["name"], circle["images"]) == ("circle", 3)
    assert (square["name"], square["images"], square["recall"]) == ("square", 0, None)


def test_each_image_is_evaluated_once():
    rows_of_batches = [[0, 1, 2, 2], [2, 2], [3, 1, 4]]
    batches = [Batch(np.array(rows), np.array(rows), np.array(rows)) for rows in rows_of_batches]
    evaluated = without_repeats(batches, 5)
    unique = [(batch.rows.tolist(), batch.images.tolist()) for batch in evaluated]
    assert unique == [([0, 1, 2], [0, 1, 2]), ([3, 4], [3, 4])]


def endless(rows):
    return (Batch(np.array(rows), np.array(rows), np.array(rows)) for _ in count())


@pytest.mark.parametrize("rows", [[0, 1, 2], [0, 1]], ids=["all", "one never comes"])
def test_batches_with_rows_that_never_end_are_read_until_each_image_has_come(rows):
    evaluated = without_repeats(endless(rows), 3)
    assert [batch.rows.tolist() for batch in evaluated] == [rows]


def test_of_several_inputs_each_is_evaluated_once():
    parts = {"image": np.array([5, 6, 6]), "pair": (np.array([7, 8, 8]),)}
    batch = Batch(parts, np.array([1, 2, 2]), np.array([0, 1, 1]))
    (one,) = without_repeats([batch], 2)
    assert one.images["image"].tolist() == [5, 6]
    assert one.images["pair"][0].tolist() == [7, 8]
    assert (one.labels.tolist(), one.rows.tolist()) == ([1, 2], [0, 1])


def best(low=95, high=105, **values) -> Best:
    rate = Estimate(value=100, low=low, high=high)
    return Best(
        **{
            "loader": "tf_data",
            "predicted": Predicted(images_per_second=rate),
            "recipe": Recipe().model_dump(),
            "machine": BASIS.facts,
            **values,
        }
    )


def epoch(rates, wait_s=0.0, *, first_of_process=False):
    return TimedEpoch(rates, wait_s, 10.0, first_of_process)


def checked(one, rates, recipe):
    """Check a training whose epochs are not divided."""
    return check_rate(one, [epoch([rate]) for rate in rates], recipe, BASIS)


def test_parts_of_epochs_narrow_the_interval_of_the_rate():
    parts = [[10.0] * 5, *[[98.0, 99.0, 100.0, 101.0, 102.0]] * 4]
    divided = check_rate(best(), list(map(epoch, parts)), Recipe(), BASIS).achieved
    whole = checked(best(), [10, 98, 100, 101, 102], Recipe()).achieved
    assert (divided.value, whole.value) == (100, 100.5)
    assert 98.5 < divided.low < 99 < 101 < divided.high < 101.5  # neighbors resemble each other
    assert whole.high - whole.low > 2 * (divided.high - divided.low)


@pytest.mark.parametrize(
    ("epochs", "steps", "parts"), [(5, 50, 5), (5, 30, 3), (5, 9, 1), (2, 400, 20), (21, 400, 1)]
)
def test_a_short_training_is_timed_in_parts_of_at_least_ten_steps(epochs, steps, parts):
    assert timed_parts(Recipe(epochs=epochs), steps) == parts


@pytest.mark.parametrize("speed", [0.98, 1.0, 1.2])
def test_the_rate_check_is_met_if_the_ratio_is_surely_at_most_3_percent_below_1(speed):
    rates = [speed * rate for rate in (10, 99.9, 100, 100.1, 100)]
    result = checked(best(low=99.5, high=100.5), rates, Recipe())
    assert result.met is True
    assert result.text.startswith("Rate check: met; predicted 100 [100, 100] images/s")


def test_the_rate_check_cannot_tell_if_the_interval_of_the_ratio_contains_the_limit():
    result = checked(best(), [10, 94, 94, 96], Recipe())
    assert result.met is None
    assert "cannot tell; predicted 100 [95, 105] images/s, achieved 94 [92, 98]" in result.text
    assert result.text.endswith(
        "achieved ÷ predicted is 0.94 [0.89, 1.00]; this interval contains 0.97, the least that "
        "counts as met."
    )


@pytest.mark.parametrize(
    ("values", "rates", "why"),
    [
        ({"low": None, "high": None}, [10, 80, 80.1, 80], "the bench had fewer than 3 blocks"),
        (
            {},
            [10, 80, 80],
            "warm-up, each with too few steps to be divided; train at least 4 epochs",
        ),
    ],
)
def test_the_rate_check_cannot_tell_without_intervals(values, rates, why):
    result = checked(best(**values), rates, Recipe())
    assert result.met is None
    assert why in result.text


def test_a_missed_rate_check_says_by_how_much():
    missed = checked(best(), [10, 80, 79, 81, 80], Recipe())
    assert missed.met is False
    assert missed.text.startswith("Rate check: missed by 20.0%")


@pytest.mark.parametrize(
    ("wait_share", "loss"),
    [
        (0.01, "The steps took 25% longer than in the bench; it waited for images 1% of the time"),
        (0.3, "The steps took 12% shorter than in the bench; it waited for images 30% of the time"),
    ],
)
def test_a_missed_rate_check_says_whether_steps_or_waits_grew(wait_share, loss):
    rate = Estimate(value=100, low=99, high=101)
    one = best(predicted=Predicted(images_per_second=rate, wait_share=0.01))
    counted = [epoch([rate], 10 * wait_share) for rate in (80.0, 80.1, 79.9, 80.0)]
    epochs = [epoch([10.0], 9.0), *counted]
    text = check_rate(one, epochs, Recipe(), BASIS).text
    assert text.endswith(f"images/s. {loss}, in the bench 1%.")
    assert "The steps" not in check_rate(best(), epochs, Recipe(), BASIS).text


@pytest.mark.parametrize(
    ("values", "rates", "recipe", "why"),
    [
        ({"predicted": None}, [1, 2], Recipe(), "no predicted rate"),
        ({"consumer": "drain"}, [1, 2], Recipe(), "without the trainer"),
        ({"machine": {"cores": 64}}, [1, 2], Recipe(), "another machine"),
        ({"rows": "of others"}, [1, 2], Recipe(), "this was measured on other data"),
        ({}, [1, 2], Recipe(alpha=0.5), "another network"),
        ({"model": "12"}, [1, 2], Recipe(), "has changed since it was measured"),
        ({"own": "12"}, [1, 2], Recipe(), "tf_data has changed since it was measured"),
        ({}, [1], Recipe(), "the only epoch"),
    ],
)
def test_a_rate_that_cannot_be_compared_is_neither_met_nor_missed(values, rates, recipe, why):
    result = checked(best(**values), rates, recipe)
    assert result.met is None
    assert why in result.text


def test_images_that_are_not_known_to_be_others_are_compared():
    rates = [10, 99.9, 100, 100.1, 100]
    for rows in (None, BASIS.rows):  # an earlier version did not write them
        assert checked(best(low=99.5, high=100.5, rows=rows), rates, Recipe()).met


def test_epochs_in_which_a_training_was_resumed_do_not_count():
    resumed = epoch([40.0], 5.0, first_of_process=True)
    others = [epoch([rate]) for rate in (99.9, 100.0, 100.1, 100.0)]
    epochs = [epoch([10.0]), *others[:2], resumed, *others[2:], resumed]
    one = best(low=99.5, high=100.5)
    assert check_rate(one, epochs, Recipe(), BASIS) == check_rate(
        one, [epoch([10.0]), *others], Recipe(), BASIS
    )
    nothing = check_rate(one, [epoch([10.0]), resumed, resumed], Recipe(), BASIS)
    assert nothing.met is None
    assert "each epoch of its kind includes a warm-up" in nothing.text


TUNED = Recipe(weights="imagenet", epochs=6, frozen_epochs=2)


def test_only_epochs_of_the_timed_phase_are_compared():
    tuned = best(recipe=TUNED.model_dump())
    result = checked(tuned, [10, 300, 20, 119, 120, 121], TUNED)
    assert result.achieved.value == 120
    assert result.met is True


def test_a_bench_of_another_phase_is_not_compared():
    head = TUNED.model_copy(update={"epochs": 3})
    result = checked(best(recipe=head.model_dump()), [10, 99, 20, 100, 99, 101], TUNED)
    assert result.met is None
    assert "another phase of the training" in result.text


def test_dropped_images_are_appended_and_read_back(tmp_path):
    errors = [
        ImageError("a\udcff.jpg", 3, "Pillow", "cut"),
        ImageError("b.jpg", 5, "the system", "no"),
    ]
    dropped = {}
    log = DroppedLog(tmp_path, Stream(iter(()), faults=Faults(tolerance("skip", 1, 9), dropped)))
    log.update()
    assert not (tmp_path / DROPPED).exists()
    for error in errors:
        dropped[error.row] = error
        log.update()
        log.update()
    assert [error.args for error in read_dropped(tmp_path)] == [error.args for error in errors]
    with (tmp_path / DROPPED).open("a") as file:
        file.write('{"path": "torn')
    assert len(read_dropped(tmp_path)) == 2
    (tmp_path / DROPPED).write_text("{}\n")
    with pytest.raises(RecordError, match=DROPPED):
        read_dropped(tmp_path)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_dropped_images_that_cannot_be_noted_are_one_line(tmp_path):
    (tmp_path / DROPPED).symlink_to("/dev/full")
    log = DroppedLog(tmp_path, Stream(iter(()), faults=Faults(tolerance("skip", 1, 9))))
    log._stream.faults.add(ImageError("a.jpg", 3, "Pillow", "broken"))
    with pytest.raises(RecordError, match=r"dropped\.jsonl: No space left on device; .*--resume"):
        log.update()


@pytest.mark.usefixtures("short_network")
def test_loaders_with_the_same_pixels_and_seed_give_the_same_learning_curve(tiny_photos):
    manifest = scan(tiny_photos).only("train")
    augment = {"horizontal_flip": True, "rotation": 10, "jpeg_quality": (50, 90)}
    spec = BatchSpec(batch_size=8, image_size=32, seed=2, augment=augment, balance=0.5)
    recipe = Recipe(**SHORT, epochs=3, base_learning_rate=0.1)
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
