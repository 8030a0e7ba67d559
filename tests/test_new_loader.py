"""The example in docs/add-a-loader.md is a loader that every command uses, as it stands."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import feedbench

HERE = Path(__file__).parent
EXAMPLE = re.search(
    r"```python\n(# loaders/pillow_threads\.py\n.*?)```",
    (HERE.parent / "docs" / "add-a-loader.md").read_text(),
    re.DOTALL,
)[1]
NAME = "pillow_threads"
SMALL = ["--batch-size", "4", "--image-size", "32"]
ASKED = """
import json
from feedbench.bench.commands.tune import _default_choices
from feedbench.bench.limits.limits import limit_of
from feedbench.bench.plan.plan import Choice
from feedbench.bench.plan.suites import built_in_trials
from feedbench.loaders import scan

manifest = scan("photos").only("train")
suites = {name: [str(one) for one in built_in_trials(name, manifest)] for name in SUITES}
limit = str(limit_of(Choice(loader="pillow_threads")))
tune = [choice.loader for choice in _default_choices(manifest, {})]
print(json.dumps({"suites": suites, "tune": tune, "limit": limit}))
"""
# The command, with short blocks and warm-ups.
TUNED = """
from feedbench.bench.cli import main
from feedbench.bench.commands import tune
short = {"block_seconds": 0.1, "block_steps": 5, "warm_up_seconds": 0.1}
tune._TIMING = tune._TIMING.model_copy(update=short)
main()
"""
DIAGNOSED = """
import json
from pathlib import Path
from feedbench.bench.diagnose.measure import diagnose
from feedbench.bench.diagnose.setup import DiagnosisPlan, DiagnosisTiming
from feedbench.bench.diagnose.verdict import derive_diagnosis
from feedbench.bench.plan.accelerators import accelerator_of
from feedbench.bench.plan.plan import Choice
from feedbench.loaders import BatchSpec, scan
from feedbench.trainer import Recipe

Path("diagnosis").mkdir()
fed = "emulated:rtx3090"
spec = BatchSpec(batch_size=4, image_size=32)
choice = Choice(loader="pillow_threads")
plan = DiagnosisPlan(choice, spec, Recipe(), fed, accelerator_of(fed), "warm")
timing = DiagnosisTiming(0.05, block_s=0.2, end_to_end_s=0.2, warm_up_s=0.1, rounds=3)
folder = Path("diagnosis")
record = diagnose(plan, scan("photos").only("train"), folder, lambda text: None, timing)
found = derive_diagnosis(record)
print(json.dumps({"parts": [part.name for part in record.parts], "verdict": found.verdict}))
"""


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    """A folder with a copy of the package that has one loader more, its tests, and photographs."""
    root = tmp_path_factory.mktemp("copy")
    leave = shutil.ignore_patterns("__pycache__")
    shutil.copytree(Path(feedbench.__file__).parent, root / "feedbench", ignore=leave)
    loaders = root / "feedbench" / "loaders"
    (loaders / "pillow_threads.py").write_text(EXAMPLE)
    table = (loaders / "table.py").read_text()
    table = put(table, "from feedbench.loaders import (\n", f"    {NAME},\n")
    table = put(
        table,
        '    "synthetic": synthetic.LOADER,\n',
        f'    "{NAME}": {NAME}.LOADER,\n',
    )
    (loaders / "table.py").write_text(table)
    (root / "tests" / "loaders").mkdir(parents=True)
    for name in ("conftest.py", "preloaded.py", "zygote.py", "loaders/test_contract.py"):
        shutil.copy(HERE / name, root / "tests" / name)
    shutil.copy(HERE.parent / "pyproject.toml", root)
    called(root, "make-data", "photos", "--images", "30")
    return root


def put(text, after, new):
    assert text.count(after) == 1
    return text.replace(after, after + new)


def python(root, *arguments):
    """What Python says on the copy, which must succeed."""
    done = subprocess.run(
        [sys.executable, *map(str, arguments)],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def called(root, *arguments):
    return python(root, "-m", "feedbench.bench.cli", *arguments)


def written(root, *arguments):
    """What a command writes by --json."""
    called(root, *arguments, "--json", "found.json")
    return json.loads((root / "found.json").read_text())


def test_the_contract_test_tests_it(copy):
    said = python(
        copy,
        "-m",
        "pytest",
        "tests/loaders",
        "-q",
        "-k",
        NAME,
        "-p",
        "no:cacheprovider",
    )
    assert int(re.search(r"(\d+) passed", said)[1]) >= 12
    assert not re.search(r"failed|error", said)


def test_loaders_lists_it(copy):
    assert written(copy, "loaders")[NAME]["settings"].keys() == {
        "num_threads",
        "prefetch",
        "output",
    }


def test_scan_judges_it(copy):
    assert written(copy, "scan", "photos")["loaders"][NAME]["left_out"] == 0


def test_suites_tune_and_limits_take_it_by_themselves(copy):
    asked = ASKED.replace("SUITES", '("quick", "standard", "limits")')
    found = json.loads(python(copy, "-c", asked))
    assert all(NAME in choices for choices in found["suites"].values())
    assert NAME in found["tune"]
    assert found["limit"] == "libjpeg_turbo decode=full"


def test_bench_ranks_it_by_its_pixels_and_its_rate(copy):
    quick = ["--blocks", "2", "--block-seconds", "0.2", "--warm-up-seconds", "0.1"]
    loaders = ["--loader", "keras_pil", "--loader", NAME, "--consumer", "drain"]
    found = written(copy, "bench", "photos", *loaders, *SMALL, *quick, "--out", "bench")
    rates = {one["loader"]: one["images_per_second"] for one in found["trials"]}
    assert rates[NAME]["median"] > 0
    pixels = json.loads((copy / "bench" / "pixels.json").read_text())
    assert [one["within"] for one in pixels["loaders"]] == [True, True]


def test_tune_searches_its_settings(copy):
    options = ["--loader", NAME, "--consumer", "drain", "--budget", "5m", "--out", "tune"]
    python(copy, "-c", TUNED, "tune", "photos", *options, *SMALL, "--json", "tuned.json")
    assert json.loads((copy / "tuned.json").read_text())["best"]["loader"] == NAME


def test_diagnose_measures_what_it_can_and_blames_no_part_that_it_does_not_know(copy):
    found = json.loads(python(copy, "-c", DIAGNOSED))
    other = "loader, other size"
    assert set(found["parts"]) == {"storage", "loader", other, "consumer", "end to end"}
    assert "decoding" not in found["verdict"]
    # How sure it is depends on the machine; that it was measured does not.
    assert "No verdict" not in found["verdict"]
    assert "pillow_threads" in found["verdict"]
    assert "idles" in found["verdict"] or "loses" in found["verdict"]
