"""A predicted rate applies to the images that the bench has measured."""

import shutil
import sys

import pytest

from feedbench.bench.analysis.best import read_best
from feedbench.bench.cli import main
from feedbench.bench.environment import environment
from feedbench.bench.training.rate_check import Basis, applicable_rate
from feedbench.loaders import scan
from feedbench.trainer import Position

SPEC = ["--batch-size", 8, "--image-size", 32]
QUICK = [*SPEC, "--blocks", 1, "--block-seconds", 0.1, "--warm-up-seconds", 0.1]


@pytest.fixture
def call(monkeypatch):
    """A function that runs a command; trainings are not run, but returned."""
    trainings = []

    def note(best, recipe, manifest, folder, json, options, *, again):
        trainings.append((best, recipe, options))

    monkeypatch.setattr("feedbench.bench.commands.train.run_training", note)

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["feedbench", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        assert ended.value.code in (0, None)
        return trainings

    return run


def test_a_rate_applies_to_the_source_that_was_measured_but_to_no_other(
    tiny_photos, tmp_path, call
):
    photos, out = shutil.copytree(tiny_photos, tmp_path / "photos"), tmp_path / "bench"
    (photos / "train" / "circle" / "0.jpg").write_bytes(b"text")  # a scan leaves it out
    call("scan", photos)
    options = ["--loader", "turbo", "--consumer", "drain", "--images", 20, *QUICK]
    call("bench", photos, *options, "--out", out)
    best = out / "best.toml"
    assert read_best(best).rows == scan(photos).only("train").fingerprint(sizes=True)
    best.write_text(best.read_text().replace('consumer = "drain"', 'consumer = "train"'))
    for number, data in enumerate((photos, tiny_photos)):
        trainings = call("train", data, "--loader", out, "--out", tmp_path / str(number))
    rates = [
        applicable_rate(best, recipe, Basis(environment(), rows=options.rows), Position())
        for best, recipe, options in trainings
    ]
    assert rates[0] is not None
    assert rates[1] is None


def test_a_training_knows_its_photographs_without_a_bench(tiny_photos, tmp_path, call):
    ((_, _, options),) = call("train", tiny_photos, "--loader", "turbo", "--out", tmp_path / "out")
    assert options.rows == scan(tiny_photos).only("train").fingerprint(sizes=True)
