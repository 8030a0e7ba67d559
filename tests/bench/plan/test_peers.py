"""The suite of peers: other libraries where they are installed, named where they are not."""

from dataclasses import replace

import pytest

from feedbench.bench.errors import PlanError
from feedbench.bench.plan.peers import left_out_note
from feedbench.bench.plan.suites import (
    available_loaders,
    built_in_trials,
    limits_suite,
    select_suite,
)
from feedbench.loaders import LOADERS, scan
from feedbench.loaders.guests.package import Package

THERE, ABSENT = Package("there", ("json",)), Package("absent", ("no_such_package",))


@pytest.fixture
def manifest(class_folder):
    return scan(class_folder)


@pytest.fixture(autouse=True)
def _guests(monkeypatch):
    """Of the other libraries, two are installed, of which one reads tar files only."""
    for name, one in list(LOADERS.items()):
        if one.is_guest:
            there = name in ("torch", "webdataset")
            monkeypatch.setitem(LOADERS, name, replace(one, package=THERE if there else ABSENT))


def names(trials):
    return {choice.loader for choice in trials}


def test_installed_libraries_take_part_beside_the_loaders_of_the_project(manifest):
    trials = [str(choice) for choice in built_in_trials("peers", manifest)]
    assert trials == [
        "keras_pil",
        "keras_directory",
        "tf_data",
        "turbo decode=['full', 'scaled']",
        "torch decoder=['pillow', 'opencv', 'simplejpeg']",
        "torch decoder=simplejpeg decode=scaled",
    ]


def test_those_that_cannot_run_are_named_in_one_note(manifest):
    note = left_out_note("peers", manifest)
    assert note.startswith("Not in this run: webdataset: reads no source of the kind folder; ")
    assert "hf_datasets" in note
    assert ": not installed; to install: pip install 'feedbench[absent]'" in note
    assert left_out_note("quick", manifest) == left_out_note(None, manifest) == ""


def test_no_other_suite_and_no_search_opens_another_library_that_is_not_named(manifest):
    for suite in ("quick", "standard", "limits"):
        assert not {"torch", "webdataset"} & names(built_in_trials(suite, manifest))
    assert "torch" not in {one.name for one in available_loaders(manifest)}
    assert "torch" in {one.name for one in available_loaders(manifest, ["torch"])}


def test_settings_of_the_command_line_apply_to_a_peer(manifest):
    suite = select_suite("peers", [], {"torch": {"num_workers": 1}}, manifest)
    settings = [one.settings for one in suite.trial if one.loader == "torch"]
    assert all(one["num_workers"] == 1 for one in settings)


def test_limits_take_the_suite_by_its_name(manifest):
    names_of = {choice.loader for choice in limits_suite("peers", [], {}, manifest).trial}
    assert {"turbo", "torch"} <= names_of
    assert "torch" not in names(limits_suite(None, [], {}, manifest).trial)
    with pytest.raises(PlanError, match=r"--suite peer: no such suite .*peers"):
        limits_suite("peer", [], {}, manifest)


def test_one_that_needs_a_setting_takes_part_once_it_is_given(manifest, monkeypatch):
    packed = replace(LOADERS["packed"], suites={"peers": ({},)})
    monkeypatch.setitem(LOADERS, "packed", packed)
    assert "packed" not in names(built_in_trials("peers", manifest))
    assert "packed: pack: no folder given; " in left_out_note("peers", manifest)
    given = {"packed": {"pack": "folder"}}
    assert "packed" in names(select_suite("peers", [], given, manifest).trial)
    assert "packed" not in left_out_note("peers", manifest, given)
