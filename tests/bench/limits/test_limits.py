"""`limits` measures every limit, and compares each loader with the limit of its work."""

import json
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from feedbench.bench.commands.run_limits import run_limits
from feedbench.bench.errors import RecordError, TrialError
from feedbench.bench.limits import limits as module
from feedbench.bench.limits.limits import (
    RECORD,
    ColdReads,
    LimitsRecord,
    derive,
    limit_of,
    limits_plan,
    read_cold,
    read_limits,
)
from feedbench.bench.plan.plan import Choice
from feedbench.bench.record import Block, Trial
from feedbench.bench.results.find import find_record, read_result
from feedbench.bench.trials.bench import Bench
from feedbench.bench.trials.internal_loaders import INTERNAL_LOADERS, LIBJPEG_TURBO, is_choice
from feedbench.bench.trials_file import read_trials
from feedbench.loaders import (
    LOADERS,
    BatchSpec,
    Order,
    Request,
    SourceError,
    find_loader,
    parse_settings,
    scan,
    usable_cores,
)

LIMITS = [loader for loader in INTERNAL_LOADERS.values() if loader.role == "upper bound"]
BETON = {"pack_dir": "beton"}  # of FFCV; nothing is opened
SMALL = ["--image-size", "32", "--batch-size", "8", "--blocks", "2", "--block-seconds", "0.2"]

# The command, with short warm-ups and reads.
PROGRAM = """
from feedbench.bench.cli import main
from feedbench.bench.commands import limits as command
from feedbench.bench.limits import limits
command._TIMING["warm_up_seconds"] = 0.1
limits._DISK_S = 0.02
main()
"""


def feedbench(*arguments):
    command = [sys.executable, "-c", PROGRAM, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_each_loader_is_compared_with_the_limit_of_its_work(tiny_photos, tmp_path):
    pack, out = tmp_path / "pack", tmp_path / "limits"
    assert feedbench("pack", tiny_photos, pack, "--image-size", "32").returncode == 0
    loaders = ["--loader", "turbo", "--loader", "packed", "--set", f"packed.pack={pack}"]
    loaders += ["--set", "turbo.decode=scaled", *["--scaling"] * (usable_cores() > 1)]
    done = feedbench("limits", tiny_photos, *loaders, *SMALL, "--out", out)
    assert done.returncode == 0, done.stderr
    result = json.loads((out / "limits.json").read_text())
    limits = {limit["name"]: limit for limit in result["limits"]}
    for name in ("libjpeg_turbo decode=full", "libjpeg_turbo decode=scaled", "memory_copy"):
        assert limits[name]["images_per_second"]["median"] > 0
    assert sum(name.startswith("disk, cold") for name in limits) in (1, 3)
    shares = {share["loader"]: share for share in result["loaders"]}
    assert shares["turbo decode=scaled"]["limit"] == "libjpeg_turbo decode=scaled"
    assert shares[f"packed pack={pack}"]["limit"] == "memory_copy"
    for share in shares.values():
        limit = limits[share["limit"]]["images_per_second"]["median"]
        of_medians = share["images_per_second"]["median"] / limit
        # The median of ratios, not the ratio of medians; another limit's is a hundred times off.
        assert of_medians / 20 < share["share"]["median"] < 20 * of_medians
    assert [one["loader"] for one in result["scaling"]] == [*shares] * (usable_cores() > 1)
    for one in result["scaling"]:
        if one["error"] is not None:  # so short a block may have no sample, and then says so
            assert one["error"].startswith("no sample on ")
            continue
        assert 0 <= one["serial"]["value"] <= 1
        assert one["rates"][0]["cores"] == 4
    again = feedbench("show", out, "--json", tmp_path / "again.json")
    assert again.returncode == 0, again.stderr
    assert result.pop("created")
    began = json.loads((out / "environment.json").read_text())["created"]
    assert json.loads((tmp_path / "again.json").read_text()) == {"created": began, **result}


SUITE = """
consumer = "drain"
spec = { image_size = 48, interpolation = "bilinear", augment = { horizontal_flip = false } }
timing = { blocks = 3, block_seconds = 0.2, warm_up_seconds = 0.1 }
[[trial]]
loader = "turbo"
settings = { decode = ["full", "scaled"], num_threads = 1 }
"""


def test_a_suite_file_says_what_is_measured_and_how_unless_an_option_does(tiny_photos, tmp_path):
    (tmp_path / "suite.toml").write_text(SUITE)
    out, suite = tmp_path / "limits", tmp_path / "suite.toml"
    given = ["--image-size", "32", "--batch-size", "8", "--blocks", "2"]
    done = feedbench("limits", tiny_photos, "--suite", suite, *given, "--out", out)
    assert done.returncode == 0, done.stderr
    trials = {str(one.settings): one for one in read_trials(out) if one.loader == "turbo"}
    assert [*trials] == [
        "{'decode': 'full', 'num_threads': 1}",
        "{'decode': 'scaled', 'num_threads': 1}",
    ]
    for one in trials.values():
        assert (one.spec["image_size"], one.spec["batch_size"]) == (32, 8)
        assert one.spec["interpolation"] == "bilinear"
        assert len(one.blocks) == 2
        assert one.warm_ups[0].requested_s == 0.1
    shares = {
        one["loader"]: one["limit"]
        for one in json.loads((out / "limits.json").read_text())["loaders"]
    }
    assert shares["turbo decode=scaled num_threads=1"] == "libjpeg_turbo decode=scaled"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            SUITE.replace("drain", "train"),
            "consumer train: limits discards all batches; set consumer",
        ),
        (SUITE.replace("turbo", "synthetic"), "settings of synthetic"),
        ("[[trial]]\nloader = 'synthetic'\n", "suite.toml: loader synthetic: synthetic images"),
        *(
            (f"{field}\n{SUITE}", f"suite.toml: {field.partition(' ')[0]}: limits {why}")
            for field, why in {
                "devices = 'all'": "trains nothing",
                "recipe = { alpha = 0.5 }": "trains nothing",
                "pixels = { images = 9 }": "compares no pixels",
                "failures = { on_error = 'skip' }": "uses no other images in place of those that",
            }.items()
        ),
        (
            SUITE.replace("blocks = 3", "early_stopping = true"),
            "suite.toml: timing: early_stopping: limits times all blocks; remove it",
        ),
        (f"{SUITE}alone = true\n", "suite.toml: trial: alone: limits trains nothing; remove it"),
    ],
)
def test_a_suite_file_that_cannot_be_measured_is_refused_in_one_line(
    tiny_photos, tmp_path, text, message
):
    (tmp_path / "suite.toml").write_text(text)
    done = feedbench("limits", tiny_photos, "--suite", tmp_path / "suite.toml")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert message in done.stderr


def test_reads_whose_process_is_killed_leave_the_other_limits(tiny_photos, monkeypatch):
    def killed(storage, depth):
        raise TrialError("a process that reads was ended")

    monkeypatch.setattr(module, "check_cold", lambda manifest: None)
    monkeypatch.setattr(module, "_read_at_depth", killed)
    assert read_cold(scan(tiny_photos)) == "a process that reads was ended"


def test_synthetic_images_are_refused(tiny_photos):
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
        (Choice(loader="ffcv", settings=BETON | {"write_mode": "raw"}), "memory_copy"),
        (
            Choice(loader="ffcv", settings=BETON | {"write_mode": "jpg"}),
            "libjpeg_turbo decode=full",
        ),
    ],
)
def test_the_limit_of_a_loader_depends_on_its_work(choice, limit):
    assert str(limit_of(choice)) == limit


def trial(choice, *rates):
    blocks = [
        Block(
            round=round_index, seconds=2.0, images=round(2 * rate), wait_s=[], step_s=[], cpu_s=1.0
        )
        for round_index, rate in enumerate(rates)
    ]
    spec = BatchSpec(image_size=100).model_dump(mode="json")
    return Trial(
        loader=choice.loader,
        settings=choice.settings,
        augment=choice.augment,
        all_settings={},
        consumer="drain",
        spec=spec,
        recipe={},
        images=9,
        blocks=blocks,
    )


def test_shares_are_paired_by_round():
    copy, turbo = Choice(loader="memory_copy"), Choice(loader="turbo")
    record = LimitsRecord(bounds={"turbo": "memory_copy"}, disk="a network share")
    limits = derive([trial(copy, 1000, 4000, 2000), trial(turbo, 500, 2000, 1000)], record)
    assert limits.loaders[0].share.value == limits.loaders[0].share.low == 0.5
    assert limits.limits[0].bytes_per_second == 2000 * 3 * 100**2
    assert limits.limits[1].error == "a network share"


def test_a_loader_with_an_augmentation_of_its_own_has_its_own_share():
    copy, plain = Choice(loader="memory_copy"), Choice(loader="turbo")
    turned = Choice(loader="turbo", augment={"rotation": 0.1})
    record = LimitsRecord(bounds=dict.fromkeys(map(str, (plain, turned)), "memory_copy"))
    trials = [trial(copy, 1000), trial(plain, 500), trial(turned, 250)]
    shares = {one.loader: one.share.value for one in derive(trials, record).loaders}
    assert shares == {"turbo": 0.5, 'turbo augment={"rotation": 0.1}': 0.25}


def test_reads_are_named_by_where_the_files_lie():
    reads = [ColdReads(depth=4, rates=[9.0, 9.0], bytes_per_image=10, disk_share=0.5)]
    record = LimitsRecord(bounds={}, disk=reads, storage="object storage")
    (limit,) = derive([], record).limits
    assert limit.name == "object storage, cold, 4 at once"
    assert limit.error == "only 50% of the bytes came from the object storage"
    older = LimitsRecord(bounds={}, disk="a network share")
    assert derive([], older).limits[0].name == "disk, cold"


@pytest.mark.parametrize("loader", LIMITS, ids=lambda loader: loader.name)
def test_a_limit_processes_every_row_and_cannot_be_chosen(tiny_photos, loader):
    assert loader.name not in LOADERS or find_loader(loader.name) is loader
    assert not is_choice(loader.name)
    manifest = scan(tiny_photos).only("train")
    spec = BatchSpec(batch_size=8, image_size=16)
    order = Order(len(manifest), 8, epochs=2)
    with loader.open(Request(manifest, spec, order), parse_settings(loader, {})) as stream:
        rows = np.concatenate([batch.rows for batch in stream])
    assert np.array_equal(rows, order.rows(0, 2 * len(manifest)))


def test_without_jpegs_decoding_has_no_limit(tmp_path):
    for label in "ab":
        (tmp_path / label).mkdir()
        Image.new("RGB", (9, 9)).save(tmp_path / label / "1.png")
    manifest = scan(tmp_path, validation=0, test=0)
    request = Request(manifest, BatchSpec(batch_size=2), Order(2, 2))
    with pytest.raises(SourceError, match="no JPEG"):
        LIBJPEG_TURBO.open(request, parse_settings(LIBJPEG_TURBO, {}))


def test_what_is_left_of_limits_that_could_not_be_recorded_is_no_bench(
    tiny_photos, tmp_path, monkeypatch
):
    """As of a process that was killed while it measured."""

    def full(plan, manifest, folder, *_):
        Bench(plan, manifest, folder, lambda event: None).write()
        raise RecordError("trials.jsonl: No space left on device")

    monkeypatch.setattr("feedbench.bench.trials.run.run", full)
    choices = [Choice(loader="turbo")]
    plan, manifest = limits_plan(choices, {"image_size": 32}, {}), scan(tiny_photos)
    with pytest.raises(RecordError, match="No space left"):
        run_limits(plan, choices, manifest, {}, tmp_path, None)
    assert find_record(tmp_path)[1].command == "limits"
    assert [one.loader for one in read_result(tmp_path).limits.loaders] == ["turbo"]


def test_a_record_with_two_runs_on_as_many_cores_is_refused(tmp_path):
    runs = [{"cores": 1}, {"cores": 1}]
    (tmp_path / RECORD).write_text(json.dumps({"bounds": {}, "scaling": {"turbo": runs}}))
    with pytest.raises(RecordError, match=r"turbo: cores must ascend, got \[1, 1\]"):
        read_limits(tmp_path)
