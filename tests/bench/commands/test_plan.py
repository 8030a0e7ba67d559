"""plan: from the record of a run to what a larger target needs."""

import json
import resource
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from shutil import copytree

import pytest

from feedbench.bench.cli import main
from feedbench.bench.commands.plan_costs import costs_in
from feedbench.bench.environment import environment, machine
from feedbench.loaders import scan
from feedbench.loaders.remote.path import RemotePath

RESULTS = Path(__file__).parents[3] / "results"
MEASURED = RESULTS / "limits" / "clothing"
DIAGNOSIS = RESULTS / "diagnose-clothing"
FROM = ("--from", MEASURED)


@pytest.fixture
def plan(monkeypatch, capsys, tiny_photos, tmp_path):
    def run(*words):
        out = tmp_path / f"out{len(list(tmp_path.iterdir()))}"
        arguments = ["plan", tiny_photos, *words, "--out", out]
        monkeypatch.setenv("COLUMNS", "80")
        monkeypatch.setattr(sys, "argv", ["feedbench", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        return ended.value.code or 0, capsys.readouterr(), out

    return run


def test_a_run_is_turned_into_a_plan_that_is_saved(plan, tmp_path):
    saved = tmp_path / "plan.json"
    code, printed, out = plan("--accelerator", "a100:8", *FROM, "--cores", 4, "--json", saved)
    assert (code, printed.err) == (0, "")
    assert "The limit is cores that load: expected are " in printed.out
    assert max(map(len, printed.out.splitlines()[:16])) <= 80
    planned = json.loads((out / "plan.json").read_text())
    assert planned == json.loads(saved.read_text())
    assert planned["target"]["rate"] == 1_244
    assert planned["measured"]["loader"] == "turbo decode=full"  # the fastest without other pixels


def test_another_loader_of_the_run_and_an_unknown_accelerator_with_its_rate(plan):
    options = ("--loader", "keras_directory", "--rate", 500, "--core-speed", 2)
    code, _, out = plan("--accelerator", "b300:2", *FROM, *options)
    assert code == 0
    planned = json.loads((out / "plan.json").read_text())
    assert planned["measured"]["loader"] == "keras_directory"
    assert (planned["target"]["rate"], planned["target"]["core_speed"]) == (500, 2)


@pytest.mark.parametrize(
    ("words", "measured"),
    [
        (("--loader", "turbo", "--set", "turbo.decode=full"), "turbo decode=full"),
        (("--loader", "turbo", "--set", "turbo.cache=decoded"), "turbo cache=decoded"),
        (("--loader", "turbo"), "turbo decode=full"),
        (("--loader", "turbo", "--set", "turbo.decode=scaled"), "turbo decode=scaled"),
    ],
)
def test_settings_choose_among_the_trials_of_a_loader(plan, words, measured):
    code, _, out = plan("--accelerator", "a100", *FROM, *words)
    assert code == 0
    assert json.loads((out / "plan.json").read_text())["measured"]["loader"] == measured


def test_the_disk_of_a_run_says_nothing_about_object_storage(tmp_path, tiny_photos):
    files = scan(tiny_photos).only("train")
    objects = replace(files, root=RemotePath("s3://bucket/photos"))
    run = copytree(MEASURED, tmp_path / "run")
    files.write(run / "manifest.parquet")
    assert costs_in(run, None, None, files).cold_rate
    costs = costs_in(run, None, None, objects)
    assert (costs.cold_rate, costs.read_wait_s) == (None, None)
    said = "were on a disk, these are in object storage; --storage states"
    assert any(said in note for note in costs.notes)


@pytest.mark.parametrize("words", [("--rate", "1e300"), ("--core-speed", "inf")])
def test_an_amount_that_nothing_has_is_refused(plan, words):
    code, printed, _ = plan("--accelerator", "x:2", *FROM, *words)
    assert code == 2
    assert f"feedbench: {words[0]}: must be" in printed.err


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--accelerator", "k80", *FROM), "or give its images per second as --rate"),
        (("--accelerator", "a100:0", *FROM), "must be NAME or NAME:COUNT"),
        (("--accelerator", "a100", *FROM, "--set", "turbo.prefetch=1"), "give --loader turbo"),
        (("--accelerator", "a100", *FROM, "--image-size", 96), "leave out --image-size"),
        (("--accelerator", "a100", "--from", DIAGNOSIS, "--loader", "turbo"), "leave out --loader"),
        (("--accelerator", "a100", *FROM, "--loader", "ffcv"), "no rate of ffcv; timed were"),
        (("--accelerator", "a100", "--from", RESULTS / "range-study"), "must be a run of"),
        (("--accelerator", "a100", "--from", RESULTS / "clothing-cpu"), "a trainer on the same"),
        (("--accelerator", "a100", "--from", RESULTS / "none"), "no such folder or file"),
    ],
)
def test_a_mistake_is_one_line_and_leaves_no_folder(plan, words, told):
    code, printed, out = plan(*words)
    assert (code, printed.out) == (2, "")
    assert len(printed.err.splitlines()) == 1
    assert told in printed.err
    assert not out.exists()


@pytest.mark.parametrize("measured", [MEASURED, DIAGNOSIS])
def test_a_run_of_another_machine_is_said_to_be_one(plan, tmp_path, measured):
    run = shutil.copytree(measured, tmp_path / "run")
    facts = json.loads((run / "environment.json").read_text())
    here = machine(environment())
    for cores, is_noted in ((here["cores"], False), (here["cores"] + 62, True)):
        facts |= {"processor": here["processor"], "cores": cores}
        (run / "environment.json").write_text(json.dumps(facts))
        code, _, out = plan("--accelerator", "a100", "--from", run)
        assert code == 0
        notes = json.loads((out / "plan.json").read_text())["assumptions"]
        assert any("Measured on another machine" in note for note in notes) == is_noted


def test_a_full_disk_is_one_line_and_leaves_no_folder(plan):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))
    try:
        code, printed, out = plan("--accelerator", "a100", *FROM)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert (code, printed.out) == (2, "")
    assert printed.err.splitlines() == [
        f"feedbench: {out}/plan.json: File too large; name another file or another folder"
    ]
    assert not out.exists()
