"""A run that is refused after its folder was made leaves none: the same command can be repeated."""

import shutil
import sys
from pathlib import Path

import pytest

from feedbench.bench.cli import main
from feedbench.bench.diagnose import selftest
from feedbench.bench.errors import PlanError, TrialError
from feedbench.bench.files import removed_if_nothing_kept

SMALL = ("--batch-size", 8, "--image-size", 32)
TURBO = ("--loader", "turbo")
EMULATED = ("--consumer", "emulated:rtx3090")


@pytest.fixture
def refused(monkeypatch, capsys, tmp_path):
    """A function: run a command that is refused in one line; return the line."""
    monkeypatch.setattr(selftest, "_BLOCK_S", 0.05)
    out = tmp_path / "out"

    def run(*words):
        monkeypatch.setattr(sys, "argv", ["feedbench", *map(str, words), "--out", str(out)])
        with pytest.raises(SystemExit) as ended:
            main()
        assert ended.value.code == 2
        assert not out.exists()
        return capsys.readouterr().err.splitlines()[-1]

    return run


@pytest.fixture
def in_memory(tiny_photos, tmp_path):
    """Photos in a file system without a disk, whose pages cannot be evicted."""
    try:
        folder = Path(shutil.copytree(tiny_photos, f"/dev/shm/{tmp_path.name}-refusals"))
    except OSError:
        pytest.skip("needs a file system in memory")
    yield folder
    shutil.rmtree(folder)


@pytest.mark.parametrize(
    "command",
    [("bench", "--consumer", "drain"), ("diagnose", *EMULATED, "--no-tensorboard")],
    ids=lambda words: words[0],
)
def test_a_cache_state_that_cannot_be_brought_about(refused, in_memory, command):
    name, *options = command
    line = refused(name, in_memory, *TURBO, *SMALL, *options, "--cache-state", "cold")
    assert line.startswith("feedbench: --cache-state cold: ")


def test_a_plan_of_a_loader_that_does_not_exist(refused, tiny_photos):
    line = refused("plan", tiny_photos, "--accelerator", "a100:2", "--loader", "turb")
    assert "did you mean 'turbo'" in line


@pytest.mark.parametrize(
    "command",
    [("diagnose", *EMULATED), ("plan", "--accelerator", "a100:2"), ("train",)],
    ids=lambda words: words[0],
)
def test_a_second_loader_where_one_is_taken(refused, tiny_photos, command):
    name, *options = command
    line = refused(name, tiny_photos, *options, *TURBO, "--loader", "mine.py:batches")
    assert line == (
        "feedbench: --loader: this command takes one loader, got turbo and mine.py:batches; "
        "feedbench bench compares several"
    )


def test_a_suite_file_whose_cache_state_cannot_be_brought_about(refused, in_memory, tmp_path):
    suite = tmp_path / "suite.toml"
    suite.write_text('timing = { cache_state = "cold" }\n[[trial]]\nloader = "turbo"\n')
    line = refused("limits", in_memory, *SMALL, "--suite", suite)
    assert line.startswith("feedbench: --cache-state cold: ")


def test_objects_that_their_cache_cannot_hold(refused, tiny_photos, monkeypatch):
    def refuse(manifest):
        raise PlanError("--cache-state warm: they do not fit")

    monkeypatch.setattr("feedbench.bench.trials.cache_state.check_warm", refuse)
    words = ("bench", tiny_photos, *TURBO, *SMALL, "--consumer", "drain", "--cache-state", "warm")
    assert refused(*words) == "feedbench: --cache-state warm: they do not fit"


@pytest.mark.parametrize(
    "command",
    [("diagnose", *EMULATED, "--no-tensorboard"), ("plan", "--accelerator", "a100:2")],
    ids=lambda words: words[0],
)
def test_a_pack_of_other_files(refused, tiny_photos, tmp_path, monkeypatch, command):
    photos, pack = shutil.copytree(tiny_photos, tmp_path / "photos"), tmp_path / "pack"
    words = ("pack", photos / "train", pack, "--image-size", 32)
    monkeypatch.setattr(sys, "argv", ["feedbench", *map(str, words)])
    with pytest.raises(SystemExit, match="0"):
        main()
    for file in photos.rglob("*.jpg"):
        file.write_bytes(file.read_bytes() + b"\0")
    packed = ("--loader", "packed", "--set", f"packed.pack={pack}")
    name, *options = command
    line = refused(name, photos / "train", *packed, *SMALL, *options)
    assert ".jpg has changed, as have " in line


NOT_SCANNED = (
    "feedbench: orientation='apply' needs the EXIF orientation of each file: run feedbench scan on "
    "the data first, or use orientation='ignore'"
)
UPRIGHT = ("--orientation", "apply")


@pytest.fixture
def unscanned(tiny_photos, tmp_path):
    return shutil.copytree(tiny_photos, tmp_path / "photos")


@pytest.mark.parametrize(
    "command",
    [
        ("bench", "--consumer", "drain", *TURBO, *UPRIGHT),
        ("train", *TURBO, *UPRIGHT),
        ("limits", "--suite", "suite.toml"),
        ("diagnose", *EMULATED, "--loader", "best.toml"),
        ("plan", "--accelerator", "a100:2", "--loader", "best.toml"),
    ],
    ids=lambda words: words[0],
)
def test_photos_to_turn_upright_that_were_not_scanned(
    refused, unscanned, tmp_path, monkeypatch, command
):
    monkeypatch.chdir(tmp_path)
    spec = 'spec = { orientation = "apply" }\n'
    Path("best.toml").write_text(f'loader = "turbo"\n{spec}')
    Path("suite.toml").write_text(f'{spec}[[trial]]\nloader = "turbo"\n')
    name, *options = command
    assert refused(name, unscanned, *options, *SMALL) == NOT_SCANNED


def test_photos_to_compare_upright_that_were_not_scanned(unscanned, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["feedbench", "pixels", str(unscanned), *UPRIGHT])
    with pytest.raises(SystemExit, match="2"):
        main()
    assert capsys.readouterr().err == f"{NOT_SCANNED}\n"


@pytest.mark.parametrize("error", [PlanError, KeyboardInterrupt])
def test_a_folder_with_a_result_stays(tmp_path, error):
    for name, stays in (("environment.json", False), ("trials.jsonl", True)):
        folder = tmp_path / name
        folder.mkdir()
        (folder / name).touch()
        with pytest.raises(error), removed_if_nothing_kept(folder, but_for="trials.jsonl"):
            raise error("refused")
        assert folder.exists() == stays


def test_a_trial_that_failed_keeps_its_log(tmp_path):
    with pytest.raises(TrialError), removed_if_nothing_kept(tmp_path, but_for="trials.jsonl"):
        raise TrialError(f"see {tmp_path}/logs")
    assert tmp_path.exists()


@pytest.mark.parametrize("command", ["bench", "tune", "diagnose", "train"])
@pytest.mark.parametrize(
    ("options", "fault"),
    [
        (("--model", "ResNet50", "--alpha", 0.5), "alpha: ResNet50 has none, got 0.5; "),
        (("--model", "Xception"), "image_size: Xception takes images of at least 71 px, got 32; "),
    ],
    ids=["width", "size"],
)
def test_a_network_that_does_not_fit(refused, tiny_photos, command, options, fault):
    line = refused(command, tiny_photos, *TURBO, *SMALL, *options)
    assert line.startswith(f"feedbench: {fault}")
