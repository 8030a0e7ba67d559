"""The tables of results/peers, from records of trials with known rates."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from feedbench.bench.plan.plan import expand, read_suite
from feedbench.bench.trials_file import write_trials
from feedbench.loaders import LOADERS, find_loader

PEERS = Path(__file__).parents[2] / "results/peers"
FFCV = {"pack_dir": "../ffcv", "write_mode": "raw", "copy_batches": False}
JPG = {**FFCV, "write_mode": "jpg"}


def around(rate, spread=0.01):
    return [rate * (1 + spread * (number % 3 - 1)) for number in range(7)]


@pytest.fixture
def out(tmp_path, trial):
    """A run in which each trial has a rate of its own."""
    trials = [
        trial("libjpeg_turbo", around(1000), {"decode": "full"}),
        trial("memory_copy", around(100_000)),
        trial("turbo", around(950), {"decode": "full"}),
        trial("turbo", around(990), {"decode": "scaled"}),
        trial("keras_directory", around(620)),
        trial("tf_data", around(600)),
        trial("tf_data", around(640), {"decode": "jpeg"}),
        trial("packed", around(85_000), {"pack": "arrays"}),
        trial("packed", around(4000), {"pack": "jpeg"}),
        trial("ffcv", around(30_000), FFCV),
        trial("ffcv", around(3470), JPG),
        trial("grain", around(800), {"decoder": "simplejpeg"}),
        trial("spdl", around(940), {"decoder": "simplejpeg"}),
        trial("dali", [], error="killed"),
    ]
    folder = tmp_path / "clothing-32"
    folder.mkdir()
    write_trials(folder, trials)
    return tmp_path


def test_each_figure_is_compared_with_what_is_asked(script, out):
    asked = script("peers/asked.py")
    found = {row[0]: row[2:] for row in asked.rows(out) if row[1] == "clothing-32"}
    least, measured, said, _ = found["`turbo`, full decoding ÷ libjpeg-turbo alone"]
    assert (least, measured[:5], said) == ("≥ 0.93", "0.950", "yes")
    assert found["`turbo decode=scaled` ÷ `keras_directory`"][2] == "yes"
    _, measured, said, name = found["`tf_data` at its best ÷ `keras_directory`"]
    assert (measured[:4], said, name) == ("1.03", "no", "`tf_data decode=jpeg`")
    assert found["`packed` JPEGs ÷ FFCV's JPEGs"][2] == "yes"
    assert found["`packed` arrays ÷ FFCV's raw pixels"][2] == "no"
    assert found["`packed` arrays ÷ a copy in memory"][2] == "yes"
    least, measured, said, name = found["the fastest live loader of another library ÷ `turbo`"]
    assert (least, measured[:5], said) == ("< 1", "0.989", "yes")
    assert name == "`spdl decoder=simplejpeg`"


def test_what_was_not_measured_is_a_dash_and_what_is_too_close_is_not_told(script, out, trial):
    asked = script("peers/asked.py")
    rows = list(asked.rows(out))
    assert {row[3:] for row in rows if row[1] != "clothing-32"} <= {("–", "–", "–")} | {
        ("–", "–", row[5]) for row in rows
    }
    noisy = [
        trial("turbo", [900, 1000, 1100, 900, 1000, 1100, 950], {"decode": "full"}),
        trial("libjpeg_turbo", [1000] * 7, {"decode": "full"}),
        trial("torch", [1000, 1000, 1000], {"decoder": "simplejpeg"}),
    ]
    write_trials(out / "clothing-32", noisy)
    said = {row[0]: row[4] for row in asked.rows(out) if row[1] == "clothing-32"}
    assert said["`turbo`, full decoding ÷ libjpeg-turbo alone"] == "cannot tell"
    assert said["the fastest live loader of another library ÷ `turbo`"] == "cannot tell"
    write_trials(
        out / "clothing-32", [one.model_copy(update={"blocks": one.blocks[:2]}) for one in noisy]
    )
    said = {row[0]: row[4] for row in asked.rows(out) if row[1] == "clothing-32"}
    assert said["`turbo`, full decoding ÷ libjpeg-turbo alone"] == "too few blocks"


def test_the_table_has_the_fastest_first_and_names_what_failed(script, out, capsys):
    script("peers/ratios.py").main(out / "clothing-32", ["keras_directory", "no such trial"])
    lines = capsys.readouterr().out.splitlines()
    copy = r"\| `memory_copy` \| 100,000 \| 161( \[161, 161\])? \| – \| 200 MB \|"
    assert re.fullmatch(copy, lines[2])
    assert lines[-1] == "`dali` failed: killed"
    assert not any("`dali` |" in line for line in lines)


def test_a_loader_is_compared_with_the_loop_of_the_same_settings(script, tmp_path, trial, capsys):
    simple, pillow = {"decoder": "simplejpeg"}, {"decoder": "pillow"}
    trials = [
        trial("torch", around(500), pillow),
        trial("torch", around(900), simple),
        trial("bare.py:torch_loop", around(500, 0.02), pillow),
        trial("bare.py:torch_loop", around(1000), simple),
        trial("dali", around(700)),
        trial("bare.py:dali_loop", around(650)),
        trial("turbo", around(999)),
    ]
    write_trials(tmp_path, trials)
    script("peers/reproduced.py").main([tmp_path])
    rows = [line.split(" | ") for line in capsys.readouterr().out.splitlines()[2:]]
    assert [(row[0], row[-1]) for row in rows] == [
        ("| `torch decoder=pillow`", "yes |"),
        ("| `torch decoder=simplejpeg`", "no |"),
        ("| `dali`", "yes |"),
    ]


@pytest.mark.parametrize("name", sorted(path.name for path in PEERS.glob("*.toml")))
def test_every_suite_can_be_read_and_has_the_batches_of_the_others(name, tmp_path, monkeypatch):
    shutil.copy(PEERS / "bare.py", tmp_path)
    monkeypatch.chdir(tmp_path)
    suite = read_suite(PEERS / name)
    assert suite.consumer == "drain"
    assert suite.timing.blocks >= 5  # fewer have wide intervals
    assert suite.spec["image_size"] == 224
    assert len(expand(suite.trial)) == len({str(one) for one in expand(suite.trial)})


def test_every_library_is_in_the_whole_table_and_beside_a_bare_loop(tmp_path, monkeypatch):
    shutil.copy(PEERS / "bare.py", tmp_path)
    monkeypatch.chdir(tmp_path)
    guests = {name for name, one in LOADERS.items() if one.is_guest}
    loaders = {
        name: {one.loader for one in read_suite(PEERS / f"{name}.toml").trial}
        for name in ("suite", "fastest", "shards", "bare", "bare-ffcv")
    }
    assert guests - {"webdataset"} <= loaders["suite"]
    assert guests - {"webdataset"} <= loaders["fastest"]
    assert "webdataset" in loaders["shards"]  # it reads nothing else
    loops = {one.rpartition(":")[2] for one in set().union(*loaders.values()) if ":" in one}
    assert loops == {f"{name}_loop" for name in guests}
    assert all(find_loader(f"bare.py:{loop}").own for loop in loops)


STUB = """#!/bin/sh
echo "$@" >> "$STEPS"
case "$*" in *"$FAILS"*) exit 1 ;; esac
[ "$1" != make-data ] || { mkdir -p "$2/class" && touch "$2/class/0.jpg"; }
[ "$1" != pack ] || mkdir -p "$3"
"""


def measure(tmp_path, fails="nothing"):
    """Run the script with a stub in place of feedbench and python; return its steps and status."""
    commands = tmp_path / "commands"
    commands.mkdir(exist_ok=True)
    for name in ("feedbench", "python"):
        (commands / name).write_text(STUB)
        (commands / name).chmod(0o755)
    steps = tmp_path / "steps"
    steps.write_text("")
    (tmp_path / "photos" / "ant").mkdir(parents=True, exist_ok=True)
    (tmp_path / "photos" / "ant" / "0.jpg").touch()
    variables = {"PATH": f"{commands}:{os.environ['PATH']}", "STEPS": str(steps), "FAILS": fails}
    done = subprocess.run(
        [PEERS / "measure.sh", tmp_path / "photos", tmp_path / "out", "2", "30"],
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        check=False,
    )
    return steps.read_text().splitlines(), done


def test_the_script_measures_the_most_important_first_and_only_what_is_missing(tmp_path):
    steps, done = measure(tmp_path, fails="shards.toml")
    assert done.returncode == 1
    assert "FAILED: clothing-shards, see" in done.stderr
    measured = [Path(one.split(" --out ")[1]).name for one in steps if " --out " in one]
    assert measured[:3] == ["clothing-32", "imagenet-32", "bare"]
    assert sorted(measured) == sorted(
        [
            *(f"{data}-{run}" for data in ("clothing", "imagenet") for run in ("32", "192")),
            *(
                f"{data}-{run}"
                for data in ("clothing", "imagenet")
                for run in ("shards", "regions")
            ),
            *("bare", "bare-ffcv"),
        ]
    )
    assert all(" --blocks 2 " in one for one in steps if " --out " in one)
    again, done = measure(tmp_path)
    assert done.returncode == 0
    assert [Path(one.split(" --out ")[1]).name for one in again if " --out " in one] == [
        "clothing-shards",
        "imagenet-shards",
    ]
