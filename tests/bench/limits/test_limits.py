"""limits on real photographs: every limit is there, and each loader is held against its own."""

import json
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from feedbench.bench.internal_loaders import INTERNAL_LOADERS, LIBJPEG_TURBO, is_choice
from feedbench.bench.limits.limits import LimitsRecord, derive, limit_of
from feedbench.bench.plan.plan import Choice
from feedbench.bench.record import Block, Trial
from feedbench.loaders import (
    LOADERS,
    BatchSpec,
    Order,
    Request,
    SourceError,
    find_loader,
    parse_settings,
    scan,
)

LIMITS = [one for one in INTERNAL_LOADERS.values() if one.role == "upper bound"]
SMALL = ["--image-size", "32", "--batch-size", "8", "--blocks", "2", "--block-seconds", "0.2"]


def feedbench(*arguments):
    command = [sys.executable, "-m", "feedbench.bench.cli", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_each_loader_is_held_against_the_limit_of_what_it_does(tiny_photos, tmp_path):
    pack, out = tmp_path / "pack", tmp_path / "limits"
    assert feedbench("pack", tiny_photos, pack, "--image-size", "32").returncode == 0
    loaders = ["--loader", "turbo", "--loader", "packed", "--set", f"packed.pack={pack}"]
    loaders += ["--set", "turbo.decode=scaled"]
    done = feedbench("limits", tiny_photos, *loaders, *SMALL, "--out", out)
    assert done.returncode == 0, done.stderr
    found = json.loads((out / "limits.json").read_text())
    limits = {one["name"]: one for one in found["limits"]}
    for name in ("libjpeg_turbo decode=full", "libjpeg_turbo decode=scaled", "memory_copy"):
        assert limits[name]["images_per_second"]["median"] > 0
    assert sum(name.startswith("disk, cold") for name in limits) in (1, 3)
    shares = {one["loader"]: one for one in found["loaders"]}
    assert shares["turbo decode=scaled"]["limit"] == "libjpeg_turbo decode=scaled"
    assert shares[f"packed pack={pack}"]["limit"] == "memory_copy"
    assert 0 < shares["turbo decode=scaled"]["share"]["median"] < 1.5
    again = feedbench("show", out, "--json", tmp_path / "again.json")
    assert again.returncode == 0, again.stderr
    assert json.loads((tmp_path / "again.json").read_text()) == found


def test_made_up_images_have_no_limit(tiny_photos):
    done = feedbench("limits", tiny_photos, "--loader", "synthetic")
    assert done.returncode == 2
    assert "synthetic images" in done.stderr


@pytest.mark.parametrize(
    ("choice", "limit"),
    [
        (Choice(loader="keras_pil"), "libjpeg_turbo decode=full"),
        (Choice(loader="tf_data", settings={"cache": "encoded"}), "libjpeg_turbo decode=full"),
        (Choice(loader="tf_data", settings={"decode": "scaled"}), "libjpeg_turbo decode=scaled"),
        (Choice(loader="tf_data", settings={"cache": "disk"}), "memory_copy"),
        (Choice(loader="turbo", settings={"cache": "decoded", "decode": "scaled"}), "memory_copy"),
    ],
)
def test_a_loader_is_bounded_by_what_it_has_to_do(choice, limit):
    assert str(limit_of(choice)) == limit


def trial(choice, *rates):
    blocks = [
        Block(round=turn, seconds=2.0, images=round(2 * rate), wait_s=[], step_s=[], cpu_s=1.0)
        for turn, rate in enumerate(rates)
    ]
    spec = BatchSpec(image_size=100).model_dump(mode="json")
    return Trial(
        loader=choice.loader,
        settings=choice.settings,
        all_settings={},
        consumer="drain",
        spec=spec,
        recipe={},
        images=9,
        blocks=blocks,
    )


def test_shares_are_of_blocks_of_the_same_round():
    copy, turbo = Choice(loader="memory_copy"), Choice(loader="turbo")
    record = LimitsRecord(bounds={"turbo": "memory_copy"}, disk="a network share")
    found = derive([trial(copy, 1000, 4000, 2000), trial(turbo, 500, 2000, 1000)], record)
    assert found.loaders[0].share.value == found.loaders[0].share.low == 0.5
    assert found.limits[0].bytes_per_second == 2000 * 3 * 100**2
    assert found.limits[1].error == "a network share"


@pytest.mark.parametrize("own", LIMITS, ids=lambda own: own.name)
def test_a_limit_works_at_every_row_and_is_no_choice(tiny_photos, own):
    assert own.name not in LOADERS or find_loader(own.name) is own
    assert not is_choice(own.name)
    manifest = scan(tiny_photos).only("train")
    spec = BatchSpec(batch_size=8, image_size=16)
    order = Order(len(manifest), 8, epochs=2)
    with own.open(Request(manifest, spec, order), parse_settings(own, {})) as stream:
        rows = np.concatenate([batch.rows for batch in stream])
    assert np.array_equal(rows, order.rows(0, 2 * len(manifest)))


def test_without_a_jpeg_there_is_no_limit_of_decoding(tmp_path):
    for label in "ab":
        (tmp_path / label).mkdir()
        Image.new("RGB", (9, 9)).save(tmp_path / label / "1.png")
    manifest = scan(tmp_path, validation=0, test=0)
    request = Request(manifest, BatchSpec(batch_size=2), Order(2, 2))
    with pytest.raises(SourceError, match="no JPEG"):
        LIBJPEG_TURBO.open(request, parse_settings(LIBJPEG_TURBO, {}))
