"""Pixels of users' functions: compared by their rows, or marked as not compared."""

import re
from textwrap import dedent

import pytest

from feedbench.bench.errors import TrialError
from feedbench.bench.pixels.check import check_all_pixels, check_pixels
from feedbench.bench.pixels.compare import compare
from feedbench.bench.pixels.messages import PixelJob
from feedbench.bench.pixels.result import by_choice
from feedbench.bench.pixels.table import verdict
from feedbench.bench.plan.plan import Choice
from feedbench.bench.trials import silence
from feedbench.bench.tune.tune import pixel_refusal
from feedbench.loaders import BatchSpec, scan

SPEC = BatchSpec(batch_size=8, image_size=32)
PIPELINE = """
    import numpy as np
    from keras.utils import load_img

    def batches(manifest, batch_size, image_size, add=0, rows=True, last=None):
        size = (image_size, image_size)
        for begin in range(0, len(manifest), batch_size):
            taken = range(begin, min(begin + batch_size, len(manifest)))[:last]
            images = [np.asarray(load_img(manifest.path(row), target_size=size)) for row in taken]
            batch = np.clip(np.stack(images).astype(int) + add, 0, 255).astype(np.uint8)
            yield batch, manifest.labels[[*taken]], *([[*taken]] if rows else [])

    def same(manifest, batch_size, image_size):
        while True:  # endless, as for training
            yield from batches(manifest, batch_size, image_size)

    def brighter(manifest, batch_size, image_size):
        return batches(manifest, batch_size, image_size, add=40)

    def without_rows(manifest, batch_size, image_size):
        return batches(manifest, batch_size, image_size, rows=False)

    def part(manifest, batch_size, image_size):
        return batches(manifest, batch_size, image_size, last=4)

    def flat(manifest, batch_size, image_size):
        for images, *rest in batches(manifest, batch_size, image_size):
            yield images[..., 0], *rest

    def from_data(data):
        raise AssertionError("not called")

    def crashes(manifest):
        import os
        os._exit(3)

    def waits(manifest, batch_size, image_size):
        import time
        from pathlib import Path
        while not Path("go").exists():
            time.sleep(0.05)
        return same(manifest, batch_size, image_size)

    def fails(manifest):
        raise ValueError("no [luck]")

    def holes(manifest, batch_size, image_size, spec):
        for images, labels, rows in batches(manifest, batch_size, image_size):
            levels = images * np.float32(spec.scale) + np.float32(spec.offset)
            levels[1, 0, 0] = np.nan
            yield levels, labels, rows
    """


@pytest.fixture
def manifest(class_folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pipeline.py").write_text(dedent(PIPELINE))
    return scan(class_folder, validation=0, test=0)


def own(*names):
    return [Choice(loader=f"pipeline.py:{name}") for name in names]


def test_with_rows_the_pixels_are_compared_and_without_the_loader_is_marked(manifest, tmp_path):
    functions = ("same", "brighter", "without_rows", "part", "flat", "from_data", "fails")
    choices = [Choice(loader="keras_pil"), *own(*functions)]
    manifest.write(tmp_path / "manifest.parquet")
    job = PixelJob(
        choices=choices, manifest=tmp_path / "manifest.parquet", spec=SPEC, images=20, seed=1
    )
    comparison = check_pixels(job, tmp_path / "log", limit_s=120)
    found = dict(zip(("keras_pil", *functions), comparison.loaders, strict=True))
    assert (found["same"].within, found["same"].identical) == (True, 1)
    assert found["brighter"].within is False
    reasons = {name: one.error for name, one in found.items() if not one.comparable}
    assert reasons == {
        "without_rows": "its batches have no rows",
        "part": "8 of 20 rows were not among its batches",
        "flat": "its images are uint8 [8, 32, 32]",
        "from_data": "from_data does not take manifest, so it cannot give these rows",
    }
    assert found["fails"].error == (
        "pipeline.py, line 45, in fails: ValueError: no [luck] (while fails was called)"
    )
    assert found["fails"].traceback.count("File") == 1
    _only_what_could_have_been_compared_is_refused(comparison, choices)


def _only_what_could_have_been_compared_is_refused(comparison, choices):
    ranked = {name for name, one in by_choice(comparison, allowed=False).items() if one.accepted}
    able = {str(choice) for choice in choices if not pixel_refusal(choice, comparison)}
    accepted = {"same", "without_rows", "part", "flat", "from_data"}
    assert ranked == able == {"keras_pil", *(f"pipeline.py:{name}" for name in accepted)}
    assert verdict(comparison).startswith("Other pixels than keras_pil: pipeline.py:brighter. Not ")


def test_pixels_that_are_no_numbers_are_not_taken_for_black_ones(manifest):
    """One of 1,024 pixels would be within the tolerance, and the loss of a training NaN."""
    comparison = compare([Choice(loader="keras_pil"), *own("holes")], manifest, SPEC)
    holes = comparison.loaders[1]
    assert (holes.within, holes.comparable) == (None, True)
    assert holes.error == (
        f"{manifest.path(1)}: row 1: the loader gives NaN or infinity in its pixels; fix the loader"
    )


def test_versions_of_one_file_in_two_folders_are_told_apart(manifest, tmp_path):
    for folder, function in (("one", "same"), ("two", "brighter")):
        (tmp_path / folder).mkdir()
        text = f"def make(manifest, batch_size, image_size):\n    return {function}("
        text += "manifest, batch_size, image_size)\n"
        (tmp_path / folder / "pipeline.py").write_text(dedent(PIPELINE) + text)
    choices = [Choice(loader=f"{folder}/pipeline.py:make") for folder in ("one", "two")]
    comparison = compare(choices, manifest, SPEC)
    assert [one.within for one in comparison.loaders] == [True, False]


def test_a_crash_keeps_no_other_loader_from_being_compared(manifest, tmp_path):
    manifest.write(tmp_path / "manifest.parquet")
    choices = [*own("crashes", "same"), Choice(loader="keras_pil")]
    job = PixelJob(choices=choices, manifest=tmp_path / "manifest.parquet", spec=SPEC, images=4)
    comparison = check_all_pixels(job, tmp_path / "log", limit_s=120)
    assert {one.loader: one.within for one in comparison.loaders} == {
        "pipeline.py:same": True,
        "keras_pil": True,
        "pipeline.py:crashes": None,
    }
    assert "exit code 3 in the pixel check" in comparison.loaders[2].error
    assert verdict(comparison).endswith("Not compared: pipeline.py:crashes.")


def test_while_a_function_gives_nothing_its_line_is_told(manifest, tmp_path, monkeypatch):
    monkeypatch.setattr(silence, "FIRST_S", 0.1)
    manifest.write(tmp_path / "manifest.parquet")
    job = PixelJob(
        choices=own("waits"), manifest=tmp_path / "manifest.parquet", spec=SPEC, images=4
    )
    lines = []

    def take(line):
        lines.append(line)
        (tmp_path / "go").touch()

    with silence.lines_through(take):
        check_pixels(job, tmp_path / "log")
    assert lines[0].startswith("feedbench: waits (the pixel check): nothing for ")
    assert re.search(r"; it is at pipeline\.py, line 4[01], in waits", lines[0])


def test_where_nothing_can_be_compared_nothing_is_refused(manifest):
    comparison = compare(own("from_data"), manifest, SPEC)
    assert (comparison.reference, comparison.images) == ("", 0)
    assert verdict(comparison) == "Not compared: pipeline.py:from_data."


def test_where_all_fail_the_traceback_of_the_users_code_is_kept(manifest, tmp_path):
    manifest.write(tmp_path / "manifest.parquet")
    job = PixelJob(
        choices=own("fails"), manifest=tmp_path / "manifest.parquet", spec=SPEC, images=20
    )
    with pytest.raises(TrialError, match="no \\[luck\\]") as caught:
        check_pixels(job, tmp_path / "log", limit_s=120)
    assert "in fails" in caught.value.details
