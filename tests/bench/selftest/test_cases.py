"""The injected bottlenecks, and what counts as passed."""

import json
import os

import pytest

from feedbench.bench.commands.selftest import _chosen
from feedbench.bench.diagnose.record import FASTER_STORAGE
from feedbench.bench.errors import InjectionError, PlanError
from feedbench.bench.report.markdown import as_markdown
from feedbench.bench.selftest.case import WITHOUT, Case, Injection, WhatIf
from feedbench.bench.selftest.cases import CASES
from feedbench.bench.selftest.inject import Target, injected
from feedbench.bench.selftest.packs import with_pack
from feedbench.bench.selftest.report import BatteryResult, CaseResult, Checked
from feedbench.bench.selftest.table import parts
from feedbench.bench.trials.internal_loaders import register
from feedbench.loaders import (
    BatchSpec,
    find_loader,
    open_loader,
    parse_settings,
    parse_spec,
    scan,
)

FAST = Checked(change="faster storage", predicted=105, measured=100)


def result(**values):
    values = {"name": "a slow disk", "loader": "turbo", "expected": "storage", **values}
    return CaseResult(**{"named": "storage", "stall": 0.5, "checked": [FAST], **values})


def test_there_are_at_least_a_dozen_bottlenecks_of_all_kinds():
    assert len({case.name for case in CASES}) == len(CASES) >= 12
    assert {case.cause for case in CASES} >= {
        "storage",
        "decoding",
        "transform",
        "batch copy",
        "Python",
        "interference",
        "accelerator",
    }


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_loaders_and_batches_of_a_case_and_its_what_ifs_are_valid(case):
    register()
    for what_if in (WhatIf(WITHOUT), *case.what_ifs):
        kept = case.settings if what_if.loader is None else {}
        kept = {**kept, "pack": "pack"} if case.pack and what_if.loader is None else kept
        loader = find_loader(what_if.loader or case.loader)
        parse_settings(loader, {**kept, **what_if.settings})
        parse_spec({**case.spec, **what_if.spec})


def test_loaders_of_all_kinds_are_among_them():
    loaders = {"keras_pil", "keras_directory", "tf_data", "turbo", "packed"}
    assert {case.loader for case in CASES} >= loaders
    assert any("cache" in case.settings for case in CASES)


def test_a_case_may_read_a_pack(tmp_path, tiny_photos):
    manifest, spec = scan(tiny_photos).only("train"), BatchSpec(batch_size=8, image_size=32)
    (case,) = [case for case in CASES if case.pack]
    packed = with_pack(case, manifest, spec, tmp_path / "pack")
    with open_loader("packed", manifest, spec, packed.settings, epochs=1) as stream:
        assert sum(len(batch.rows) for batch in stream) == len(manifest)
    assert with_pack(CASES[0], manifest, spec, tmp_path / "none") is CASES[0]
    assert not (tmp_path / "none").exists()


def test_storage_is_undone_by_as_much_as_it_is_predicted_for():
    for case in CASES:
        for what_if in case.what_ifs:
            if what_if.change == "faster storage" and what_if.injection is not None:
                ratio = what_if.injection.reads / case.injection.reads
                assert ratio == pytest.approx(FASTER_STORAGE)


def test_a_case_passes_if_the_cause_is_named_and_the_predictions_hold():
    assert result().passed
    assert not result(named="decoding").passed
    assert not result(checked=[FAST, FAST.model_copy(update={"measured": 80})]).passed
    assert result(named=None, checked=[], skipped="needs 2 cores").passed
    assert not result(named=None, checked=[], error="out of memory").passed


def test_a_wide_range_excuses_no_wrong_prediction():
    wide = Checked(change="twice the cores", predicted=200, low=150, high=250, measured=190)
    assert wide.passed
    assert not wide.model_copy(update={"measured": 160}).passed


def test_the_table_has_a_line_per_prediction_and_says_what_failed():
    slow = FAST.model_copy(update={"measured": 80})
    cases = [result(checked=[FAST, slow]), result(named="decoding"), result(skipped="no disk")]
    battery = BatteryResult(environment={}, cases=cases)
    text = as_markdown(parts(battery))
    assert not battery.passed
    assert sum(line.startswith("|") for line in text.splitlines()) == 2 + 4
    assert "| a slow disk | turbo | storage | 50% | faster storage | 105 | 100 | 1.05 |" in text
    assert "1.31 FAILED" in text
    assert "FAILED: decoding, not storage" in text
    assert "skipped: no disk" in text
    assert "measured 2 times" not in text
    again = result(attempts=2, checked=[FAST.model_copy(update={"drift": 0.97})])
    text = as_markdown(parts(BatteryResult(environment={}, cases=[again])))
    assert "a slow disk: measured 2 times" in text
    assert "by 3% in the last" in text
    assert BatteryResult.model_validate(json.loads(battery.model_dump_json())) == battery


def test_cores_are_given_back(tmp_path):
    before = os.sched_getaffinity(0)
    with injected(Injection(cores=1), Target(tmp_path, 100.0, 1_000.0)):
        assert len(os.sched_getaffinity(0)) == 1
    assert os.sched_getaffinity(0) == before


def test_more_cores_than_there_are_cannot_be_injected(tmp_path):
    with (
        pytest.raises(InjectionError, match="needs 100000 cores"),
        injected(Injection(cores=100_000), Target(tmp_path, 100.0, 1_000.0)),
    ):
        pass


def test_cases_are_chosen_by_a_part_of_their_name():
    assert _chosen([]) == list(CASES)
    (case,) = _chosen(["latency"])
    assert isinstance(case, Case)
    with pytest.raises(PlanError, match="--only nonsense: no bottleneck has that in its name"):
        _chosen(["nonsense"])
