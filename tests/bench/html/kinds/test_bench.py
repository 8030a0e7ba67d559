"""What the report of a bench says where something is missing, failed, odd or very large."""

import json
import tomllib
from pathlib import Path

import pytest

from feedbench.bench.analysis.summary import summarize
from feedbench.bench.html.cells import shown
from feedbench.bench.html.kinds import samples
from feedbench.bench.html.kinds.commands import suite_text, train_command
from feedbench.bench.html.kinds.over_time import COLUMNS
from feedbench.bench.html.parts import Chart, Details, Table, Text
from feedbench.bench.plan.accelerators import find_accelerator
from feedbench.bench.plan.plan import make_plan, read_suite
from feedbench.bench.record import Gpu, Own, Stopped
from feedbench.bench.results.find import read_result
from feedbench.bench.results.kinds import BenchResult

SLOW, FAST = [400, 410, 420], [800, 810, 820]
RESULTS = Path(__file__).parents[4] / "results"
GPU = Gpu(index=0, at_s=[1.0, 2.0], utilization=[0.96, None], power_w=[250.0, 350.0])


def result_of(*trials, path=Path("folder/trials.jsonl")) -> BenchResult:
    return BenchResult(path, list(trials), summarize(list(trials)))


def test_winner_is_marked_and_synthetic_comes_last_and_is_the_line(page, measured):
    synthetic = measured("synthetic", [1000, 1010, 1020])
    made = page(result_of(measured("keras_pil", SLOW), measured("turbo", FAST), synthetic))
    assert made.report.headline.command == "feedbench train DATA --loader turbo"
    chart = made.chart("turbo reaches 80% of the rate with synthetic batches")
    rows = chart.spec["data"]["values"]
    assert [row["name"] for row in rows if row["role"] == "marked"] == ["turbo"]
    assert [row["name"] for row in rows] == ["turbo", "keras_pil", "synthetic"]
    assert "synthetic batches: 1,010" in json.dumps(chart.spec)
    table = made.table("All loaders")
    assert [row["loader and settings"] for row in table] == ["turbo", "keras_pil", "synthetic"]
    assert [row["ratio to best [95 %]"] is None for row in table] == [False, False, True]
    assert table[-1]["result"] == "batches that cost nothing"


def test_one_device_alone_is_no_bound_of_several_and_a_loader_alone_ties_with_nothing(page):
    made = page(read_result(RESULTS / "beyond" / "devices" / "bench"))
    assert "synthetic batches: 172" in str(made.chart("turbo reaches 80%").spec)
    assert made.table("All loaders")[0]["result"] == ""


def test_no_utilization_above_1_is_shown_without_a_note(page, measured):
    synthetic = measured("synthetic", [800, 810, 820])
    made = page(
        result_of(measured("turbo", [790, 830, 880]), measured("keras_pil", SLOW), synthetic)
    )
    found = next(part for part in made.of(Table) if part.title == "All loaders")
    column = [column.title for column in found.columns].index("AU")
    texts = {row[0]: shown(row[column]) for row in found.rows}
    assert (texts["turbo"].text, texts["turbo"].interval) == ("≥ 100%", "")
    assert texts["keras_pil"].text == "51%"
    assert "AU ≥ 100%: as fast as synthetic batches; the excess is noise." in found.note


def test_a_ratio_surely_below_1_is_not_shown_as_1(page, measured):
    fast, slow = [1000, 1010, 1020] * 3, [998, 1008, 1018] * 3
    made = page(result_of(measured("turbo", fast), measured("keras_pil", slow)))
    (row,) = [row for row in made.table("Ratios") if row["what"] == "keras_pil"]
    assert row["ratio [95 %]"] == "0.998 [0.998, 0.998]"
    found = next(part for part in made.of(Table) if part.title == "All loaders")
    column = [column.title for column in found.columns].index("ratio to best [95 %]")
    assert shown(found.rows[1][column]).interval == "[0.998, 0.998]"


def test_ratios_and_verdict_leave_the_same_loaders_open(page, measured):
    names = {"turbo": [800, 810, 820], "tf_data": [780, 820, 815], "keras_pil": SLOW}
    result = result_of(*(measured(name, rates) for name, rates in names.items()))
    trials = [
        one.model_copy(update={"undecided": one.loader == "keras_pil"})
        for one in result.summary.trials
    ]
    summary = result.summary.model_copy(update={"trials": trials})
    made = page(BenchResult(result.path, result.trials, summary))
    title = made.chart("These blocks do not show whether").title
    assert "tf_data or keras_pil" in title
    assert title.removesuffix(" as the fastest") in made.report.headline.sentence


def test_a_rate_below_10_keeps_its_digits(page, measured):
    made = page(result_of(measured("turbo", [3.5] * 3), measured("keras_pil", [0.5] * 3)))
    assert made.chart("turbo gives 3.50 images/s")
    assert "Take turbo: 3.50 images/s" in made.report.headline.sentence
    found = next(part for part in made.of(Table) if part.title == "All loaders")
    assert shown(found.rows[1][1]).text == "0.500"


def test_a_loader_that_lost_is_said_to_be_slower(page, measured):
    made = page(result_of(measured("turbo", FAST), measured("keras_pil", SLOW)))
    assert [row["result"] for row in made.table("All loaders")] == ["winner", "slower"]


def test_drain_has_no_ceiling_and_no_waits_in_its_title(page, measured):
    made = page(result_of(measured("turbo", FAST, consumer="drain")))
    assert "synthetic" not in json.dumps(made.chart("turbo gives").spec)
    assert made.chart("turbo alone, batch after batch")


def test_one_block_has_no_interval_and_no_ratios(page, measured):
    made = page(result_of(measured("keras_pil", [400]), measured("turbo", [800])))
    row = made.table("All loaders")[0]
    assert row["images/s [95 %]"] == [800, None, None]
    assert "ratios" not in made.anchors


def test_nothing_measured_says_so_without_a_chart(page, measured):
    made = page(result_of(measured("turbo", [], error="killed by signal 9")))
    assert made.report.headline.sentence.startswith("No loader can be recommended")
    assert made.report.headline.command is None
    assert not made.of(Chart)
    assert any("killed by signal 9" in part.text for part in made.of(Text))


def test_no_trial_at_all_is_a_report_too(page):
    assert page(result_of()).report.title == "Bench"


def test_failed_trial_is_in_the_table_with_its_reason_below(page, measured):
    failed = measured("keras_pil", [], error="out of memory", traceback="Traceback: <b>mine</b>")
    made = page(result_of(measured("turbo", FAST), failed))
    assert made.table("All loaders")[1]["result"] == "failed"
    assert "<b>mine</b>" in made.text


def test_without_a_gpu_there_is_no_gpu_column_and_with_one_a_lane_of_it(page, measured):
    made = page(result_of(measured("turbo", FAST), measured("keras_pil", SLOW)))
    assert "GPU" not in made.table("All loaders")[0]
    made = page(result_of(measured("turbo", FAST, gpus=[GPU])))
    assert made.table("All loaders")[0]["GPU"][0] == pytest.approx(0.96)
    assert "GPU 0: power, up to 350 W" in made.chart("With turbo").summary


def test_odd_names_stay_text(page, measured):
    name = f"{'x' * 200}<script>alert(1)</script>.py:make"
    own = Own(file=f"/data/{name}", function="make", digest="0", rows=True)
    settings = {"note": "</script><!-- \u2028"}
    odd = measured("keras_pil", SLOW).model_copy(
        update={"loader": f"{name}", "own": own, "settings": settings}
    )
    summary = summarize([measured("turbo", FAST)])
    other = summary.trials[0].model_copy(update={"loader": name, "settings": settings})
    both = summary.model_copy(update={"trials": [*summary.trials, other]})
    made = page(BenchResult(Path("summary.json"), [], both))
    assert name in made.table("All loaders")[1]["loader and settings"]
    assert odd.loader == name


def test_summary_alone_has_rates_but_nothing_over_time(page, measured):
    summary = summarize([measured("turbo", FAST), measured("keras_pil", SLOW)])
    made = page(BenchResult(Path("folder/summary.json"), [], summary))
    assert made.chart("turbo gives 810")
    assert not {"time", "samples", "repeat"} & {*made.anchors}


def test_emulated_device_is_shown_to_work_while_the_host_waits(page, measured):
    profile = find_accelerator("a100").model_dump(mode="json")
    values = {"consumer": "emulated:a100", "accelerator": profile}
    made = page(result_of(measured("turbo", FAST, **values)))
    chart = made.chart("With turbo, the emulated device idles")
    assert "emulated device, strong while busy" in chart.summary
    shades = [mark["v"] for mark in chart.spec["data"]["values"] if mark["l"] == 0]
    assert "busy 0%" in shades
    assert len({*shades}) > 1


def test_suite_of_the_record_measures_the_same_trials(page, measured, tmp_path):
    trials = [measured("turbo", FAST), measured("keras_pil", SLOW)]
    trials[1] = trials[1].model_copy(update={"settings": {"workers": 2}})
    (details,) = [one for one in page(result_of(*trials)).of(Details) if one.title == "suite.toml"]
    (suite,) = details.parts
    (tmp_path / "suite.toml").write_text(suite.text)
    plan = make_plan(read_suite(tmp_path / "suite.toml"))
    assert [str(choice) for choice in plan.choices][:2] == ["turbo", "keras_pil workers=2"]
    assert plan.spec.image_size == 96
    assert (plan.timing.blocks, plan.timing.early_stopping) == (3, False)


def test_suite_of_several_devices_measures_one_alone_again(page, measured):
    devices = {"device": "A100", "devices": ["GPU:0", "GPU:1"]}
    alone = measured("synthetic", SLOW, alone=True, device="A100", devices=["GPU:0"])
    both = [measured("turbo", FAST, **devices), measured("synthetic", FAST, **devices)]
    made = page(result_of(*both, alone))
    assert [row["device"] for row in made.table("Devices")[:2]] == ["GPU:0", "GPU:1"]
    suite = tomllib.loads(suite_text([*both, alone]))
    assert suite["devices"] == "2"
    assert [trial["loader"] for trial in suite["trial"]] == ["turbo", "synthetic"]


def test_suite_gives_a_users_function_the_values_that_toml_does_not_have(measured):
    settings = {"pipeline.py:make": {"sizes": [1, None], "workers": None}, "tf_data": {"n": None}}
    trials = [
        measured(name, FAST).model_copy(update={"settings": values})
        for name, values in settings.items()
    ]
    own, ours = tomllib.loads(suite_text(trials))["trial"]
    assert own["settings"] == {"sizes": [[1, "None"]], "workers": "None"}
    assert ours["settings"] == {}


def test_suite_of_a_bench_that_ended_early_plans_as_many_rounds(measured):
    looks = {"judged_after": [4, 6, 9, 15], "cache_state": "cold"}
    early = [measured("turbo", FAST, **looks, chosen_before=2), measured("keras_pil", SLOW)]
    timing = tomllib.loads(suite_text(early))["timing"]
    assert timing == {"blocks": 15, "cache_state": "cold"}
    confirmed = measured("turbo", FAST, chosen_before=2)
    timing = tomllib.loads(suite_text([confirmed]))["timing"]
    assert timing == {"blocks": 2, "early_stopping": False}


def test_suite_of_an_interrupted_bench_plans_as_many_rounds_as_were_asked_for(measured):
    kept = [measured("turbo", FAST[:1], rounds=7), measured("keras_pil", [], rounds=7)]
    timing = tomllib.loads(suite_text(kept))["timing"]
    assert timing == {"blocks": 7, "early_stopping": False}


def test_an_early_end_and_who_was_stopped_before_are_said(page, measured):
    looks = {"judged_after": [4, 15]}
    out = Stopped(rounds=4, slower_than="turbo")
    ended = measured("turbo", FAST, stopped=Stopped(rounds=9), **looks)
    made = page(result_of(ended, measured("keras_pil", SLOW, stopped=out, **looks)))
    notes = [part.text for part in made.of(Text) if part.style == "note"]
    assert any(text.startswith("Ended after 9 of at most 15 rounds: ") for text in notes)
    assert "Stopped after 4 rounds, certainly below 95% of the fastest rate: keras_pil." in notes


def test_twenty_trials_of_nine_long_blocks_stay_small(page, measured):
    trials = [_long(measured("turbo", [800 + n] * 9), n) for n in range(20)]
    made = page(result_of(*trials))
    assert sum(len(json.dumps(chart.spec)) for chart in made.of(Chart)) < 2_500_000


def _long(trial, number):
    blocks = [
        block.model_copy(update={"wait_s": [0.001] * 300, "step_s": [0.001] * 300})
        for block in trial.blocks
    ]
    return trial.model_copy(update={"blocks": blocks, "settings": {"prefetch": number}})


def test_cost_of_an_augmentation_has_a_row(page, measured):
    changes = [{"augment": {}}, {"augment": {"rotation": 10.0}}]
    trials = [
        measured("turbo", rates).model_copy(update=change)
        for rates, change in zip((FAST, SLOW), changes, strict=True)
    ]
    (row,) = page(result_of(measured("turbo", FAST), *trials)).table("What each costs")
    assert row["augmentation"] == "rotation=10.0"
    assert row["rate ratio [95 %]"][0] == pytest.approx(0.506, abs=0.01)


def test_the_command_names_no_folder_of_this_machine(tmp_path):
    folder = tmp_path / "bench"
    folder.mkdir()
    (folder / "best.toml").write_text("")
    assert train_command(folder, "turbo", {}) == "feedbench train DATA --loader bench/best.toml"


def test_waits_that_exceed_their_block_do_not_swell_the_page(page, measured):
    trial = measured("turbo", FAST)
    samples = {"wait_s": [0.5] * 5000, "step_s": [0.5] * 5000}
    blocks = [block.model_copy(update=samples) for block in trial.blocks]
    made = page(result_of(trial.model_copy(update={"blocks": blocks})))
    for lane in range(2):
        marks = made.chart("With turbo").spec["data"]["values"]
        assert sum(mark["l"] == lane for mark in marks) <= COLUMNS


def test_the_page_has_each_block_once(page, measured):
    made = page(result_of(measured("turbo", FAST), measured("keras_pil", SLOW)))
    assert [one.title for one in made.of(Table)].count("Blocks") == 2


def test_of_very_many_blocks_the_first_of_each_trial_are_listed(page, measured, monkeypatch):
    monkeypatch.setattr(samples, "_MOST_BLOCKS", 6)
    trials = [measured(name, [100, 101, 102, 103, 104]) for name in ("turbo", "tf_data")]
    made = page(BenchResult(Path("trials.jsonl"), trials, summarize(trials)))
    tables = [one for one in made.of(Table) if one.title == "Blocks"]
    assert [(len(one.rows), one.note) for one in tables] == [(3, "The first 3 of 5 blocks.")] * 2
