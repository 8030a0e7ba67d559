"""compare pairs what can be compared, marks what differs, and refuses what means something else."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from feedbench.bench.environment import began_at
from feedbench.bench.record import Host
from feedbench.bench.results.find import read_result
from feedbench.bench.results.kinds import CompareResult
from feedbench.bench.trials_file import read_trials, write_trials
from feedbench.loaders import BatchSpec

RESULTS = Path(__file__).parents[3] / "results"
MACHINE = {"processor": "some", "cores": 2, "gpus": []}
VERSIONS = {"python": "3.11.7", "tensorflow": "2.20.0"}
SPEC = BatchSpec(batch_size=8, image_size=32).model_dump(mode="json")


@pytest.fixture
def bench(trial, tmp_path):
    """Return a function that writes the record of a bench: rates of blocks by loader."""

    def write(name: str, rates: dict[str, list[float]], **values) -> Path:
        plan = {"spec": SPEC, "recipe": {"alpha": 1.0}, "settings": {}}
        plan |= {key: values.pop(key) for key in plan if key in values}
        conditions = {"rows": "a" * 64, "machine": MACHINE, "versions": VERSIONS}
        fields = {**conditions, "consumer": "drain", **values}
        trials = [
            trial(loader, blocks, **fields).model_copy(update=plan)
            for loader, blocks in rates.items()
        ]
        trials = [one.model_copy(update={"blocks": _proven(one.blocks)}) for one in trials]
        folder = tmp_path / name
        folder.mkdir()
        write_trials(folder, trials)
        return folder

    return write


def _proven(blocks):
    """Return the blocks as they are if warm files were requested."""
    return [block.model_copy(update={"consumed_bytes": 10**6}) for block in blocks]


def blocks(rate: float, seed: int = 0, spread: float = 0.01, count: int = 7) -> list[float]:
    """Return rates of blocks that vary by a factor."""
    random = np.random.default_rng(seed)
    return (rate * np.exp(random.normal(0, spread, count))).tolist()


@pytest.fixture
def pair(bench):
    """Two runs: tf_data slowed by 10 %, turbo equal, one loader more in each."""
    base = bench(
        "before",
        {
            "tf_data": blocks(1000, 1),
            "turbo": blocks(2000, 2),
            "keras_pil": blocks(300, 3),
        },
    )
    run = bench(
        "after",
        {"tf_data": blocks(900, 4), "turbo": blocks(2000, 5), "packed": blocks(9000, 6)},
    )
    return base, run


@pytest.mark.parametrize("other", ["before", "before/../before", "before/trials.jsonl"])
def test_a_run_compared_with_itself_is_said_to_be_the_same_record(
    call, bench, tmp_path, monkeypatch, other
):
    base = bench("before", {"turbo": blocks(1000, 1)})
    monkeypatch.chdir(tmp_path)
    code, out, _ = call("compare", base, other)
    assert code == 0
    assert "Two of the runs are the same record." in out


def test_the_same_loader_is_compared_and_the_others_are_listed(call, pair, tmp_path):
    code, out, _ = call("compare", *pair, "--json", tmp_path / "saved.json")
    assert code == 0
    assert "Slower: tf_data (× 0.9" in out
    assert "same within 3 %: turbo" in out
    assert "Only in before, not in after: keras_pil" in out
    assert "Only in after: packed" in out
    assert "measured at different times" in out
    saved = json.loads((tmp_path / "saved.json").read_text())
    outcomes = {one["name"]: one["outcome"] for one in saved["pairs"] if one["is_judged"]}
    assert outcomes == {"tf_data": "slower", "turbo": "same within 3 %"}
    (winners,) = [one for one in saved["pairs"] if not one["is_judged"]]
    assert (winners["name"], winners["base_name"]) == ("packed", "turbo")


def test_a_saved_comparison_is_a_record_that_show_prints(call, pair, tmp_path):
    path = tmp_path / "saved.json"
    printed = call("compare", *pair, "--fail-if-slower", "5%", "--json", path)[1]
    result = read_result(path)
    assert isinstance(result, CompareResult)
    assert began_at(path) is not None
    assert result.comparison.gate.failed == ["tf_data"]
    assert call("show", path)[:2] == (0, printed)


@pytest.mark.parametrize(("limit", "code"), [("5%", 3), ("5 %", 3), ("20%", 0)])
def test_a_certain_slowdown_ends_with_exit_code_3(call, pair, limit, code):
    ended, out, _ = call("compare", *pair, "--fail-if-slower", limit)
    assert ended == code
    assert ("failed: tf_data." in out) == bool(code)


def test_what_cannot_be_told_passes_and_says_so(call, bench):
    runs = [bench(name, {"turbo": [2000.0, rate]}) for name, rate in (("a", 2010), ("b", 1500))]
    code, out, _ = call("compare", *runs, "--fail-if-slower", "5%")
    assert code == 0
    assert "passed, but these blocks cannot tell for turbo" in out
    assert "Cannot tell: turbo" in out


@pytest.mark.parametrize("limit", ["5", "0.05", "0%", "100%", "-5%", "five", ""])
def test_an_invalid_limit_is_refused_in_one_line(call, pair, limit):
    code, _, errors = call("compare", *pair, "--fail-if-slower", limit)
    assert code == 2
    assert errors.count("\n") == 1
    assert "such as 5%" in errors


def test_a_loader_that_fails_now_counts_as_slower(call, bench, pair):
    failed = bench("failed", {"tf_data": []}, error="out of memory")
    code, out, _ = call("compare", pair[0], failed, "--fail-if-slower", "5%")
    assert code == 3
    assert "out of memory" in out
    assert "tf_data failed" in out
    assert "Failed: tf_data." in out


def test_three_runs_are_compared_with_the_first(call, bench, pair):
    third = bench("third", {"tf_data": blocks(1500, 7)})
    code, out, _ = call("compare", *pair, third, "--fail-if-slower", "5%")
    assert code == 3
    assert "after: slower: tf_data" in out
    assert "failed: after: tf_data." in out
    assert "third: faster: tf_data" in out


def test_the_blocks_that_confirm_a_winner_are_not_compared(call, bench, tmp_path):
    base = bench("base", {"turbo": blocks(1000, 1)})
    confirmed = blocks(1000, 1) + blocks(500, 2)
    run = bench("run", {"turbo": confirmed}, chosen_before=7)
    arguments = ["--fail-if-slower", "5%", "--json", tmp_path / "saved.json"]
    assert call("compare", base, run, *arguments)[0] == 0
    (pair,) = json.loads((tmp_path / "saved.json").read_text())["pairs"]
    assert (pair["blocks"], pair["base"]) == ([7, 7], pair["other"])


def test_runs_without_a_loader_in_common_are_compared_by_their_winners(call, bench):
    old = bench("old", {"tf_data": blocks(1000, 1)})
    new = bench("new", {"turbo": blocks(2000, 2)})
    code, out, _ = call("compare", old, new)
    assert code == 0
    assert "Faster: turbo instead of tf_data (× 1.99" in out


def test_runs_with_nothing_in_common_end_with_1(call, bench):
    old = bench("old", {"tf_data": blocks(1000, 1)}, error="no")
    new = bench("new", {"turbo": blocks(2000, 2)})
    code, out, _ = call("compare", old, new)
    assert code == 1
    assert "Nothing in common" in out


REFUSED = {
    "consumer": {"consumer": "emulated:a100"},
    "data": {"rows": "b" * 64},
    "batches": {"spec": SPEC | {"image_size": 64}},
    "cache": {"cache_state": "warm"},
}


@pytest.mark.parametrize("topic", REFUSED)
def test_rates_that_mean_something_else_are_refused_unless_allowed(call, bench, pair, topic):
    other = bench("other", {"tf_data": blocks(500, 1)}, **REFUSED[topic])
    code, _, errors = call("compare", pair[0], other)
    assert code == 2
    assert errors.count("\n") == 1
    assert f"--allow-different {topic}" in errors
    code, out, _ = call(
        "compare", pair[0], other, "--allow-different", topic, "--fail-if-slower", "5%"
    )
    assert code == 3
    assert "(allowed)" in out


def test_another_recipe_is_refused_only_where_it_is_trained(call, bench):
    def run(name, consumer, alpha):
        recipe = {"alpha": alpha}
        return bench(name, {"turbo": blocks(100, 1)}, consumer=consumer, recipe=recipe)

    code, _, errors = call("compare", run("a", "train", 1.0), run("b", "train", 0.35))
    assert (code, "alpha 0.35 instead of 1" in errors) == (2, True)
    assert call("compare", run("c", "drain", 1.0), run("d", "drain", 0.35))[0] == 0


def test_another_machine_is_marked_and_not_judged_unless_allowed(call, bench, pair):
    other = bench("other", {"tf_data": blocks(500, 1)}, machine=MACHINE | {"cores": 4})
    arguments = ["compare", pair[0], other, "--fail-if-slower", "5%"]
    code, out, _ = call(*arguments)
    assert code == 1
    assert "differs: cores 2 against 4" in out
    assert "nothing could be judged" in out
    assert "differ in machine are not judged" in out
    assert call(*arguments, "--allow-different", "machine")[0] == 3


def test_runs_without_conditions_are_not_judged_unless_allowed(call, bench, tmp_path):
    folders = []
    for name, rate in (("old", 1000), ("new", 500)):
        folder = bench(name, {"turbo": blocks(rate, 1)})
        summary = read_result(folder).summary
        (tmp_path / f"{name} alone").mkdir()
        folders.append(tmp_path / f"{name} alone")
        (folders[-1] / "summary.json").write_text(summary.model_dump_json())
    arguments = ["compare", *folders, "--fail-if-slower", "5%"]
    code, out, _ = call(*arguments)
    assert (code, "nothing could be judged" in out) == (1, True)
    topics = "consumer,data,batches,recipe,cache,machine"
    assert f"--allow-different {topics} judges" in out
    assert call(*arguments, "--allow-different", topics)[0] == 3


@pytest.mark.parametrize("field", ["rows", "machine"])
def test_a_condition_that_a_record_does_not_hold_is_named(call, bench, pair, field):
    other = bench("other", {"tf_data": blocks(500, 1)}, **{field: None})
    code, out, _ = call("compare", pair[0], other, "--fail-if-slower", "5%")
    name = {"rows": "photographs"}.get(field, field)
    assert f"Whether other differs from the base in {name} is unknown" in out
    assert code == (3 if field == "rows" else 1)


def test_other_versions_are_marked_and_judged(call, bench, pair):
    other = bench("other", {"tf_data": blocks(500, 1)}, versions=VERSIONS | {"tensorflow": "3.0"})
    code, out, _ = call("compare", pair[0], other, "--fail-if-slower", "5%")
    assert code == 3
    assert "differs: tensorflow 2.20.0 against 3.0" in out


def test_a_changed_file_of_the_user_is_paired_and_marked(call, bench):
    def run(folder, digest, seed):
        own = {"file": f"/{folder}/pipeline.py", "function": "make", "digest": digest * 64}
        loader = f"/{folder}/pipeline.py:make"
        return bench(folder, {loader: blocks(100, seed)}, own=own)

    code, out, _ = call("compare", run("a", "1", 1), run("b", "2", 2))
    assert code == 0
    assert "pipeline.py:make" in out
    assert "differs: file 111111111111 against 222222222222" in out


def test_a_rate_without_images_is_a_witness_that_is_not_judged(call, bench):
    rates = {"synthetic": (100, 50), "turbo": (90, 90)}
    runs = [
        bench(str(run), {name: blocks(both[run], 1) for name, both in rates.items()})
        for run in (0, 1)
    ]
    code, out, _ = call("compare", *runs, "--fail-if-slower", "5%")
    assert code == 0
    assert "synthetic, which no setting of a loader changes, is slower too" in out
    assert "Same within 3 %: turbo" in out
    alone = [bench(f"alone {run}", {"synthetic": blocks(100, run)}) for run in (0, 1)]
    assert call("compare", *alone)[0] == 1


def test_the_order_of_settings_says_nothing(call, bench):
    orders = {"a": {"prefetch": 4, "cache": "decoded"}, "b": {"cache": "decoded", "prefetch": 4}}
    runs = [bench(name, {"turbo": blocks(100, 1)}, settings=some) for name, some in orders.items()]
    assert "Same within 3 %: turbo cache=decoded prefetch=4" in call("compare", *runs)[1]


def test_a_cut_off_record_is_refused_with_its_line(call, pair):
    path = pair[1] / "trials.jsonl"
    text = path.read_text()
    path.write_text(text[: len(text) - 200])
    code, _, errors = call("compare", *pair)
    assert code == 2
    assert errors.count("\n") == 1
    assert "line 3 is not a trial" in errors


def test_an_interrupted_run_is_compared_by_its_whole_blocks(call, bench, pair):
    short = bench("short", {"tf_data": blocks(700, 1, count=2)})
    code, out, _ = call("compare", pair[0], short, "--fail-if-slower", "5%")
    assert code == 0
    assert "cannot tell for tf_data" in out
    none = bench("none", {"tf_data": [], "turbo": blocks(2000, 1)})
    code, out, _ = call("compare", pair[0], none, "--fail-if-slower", "5%")
    assert code == 0
    assert "Only in before, not in none: tf_data; keras_pil" in out


@pytest.mark.parametrize(
    ("runs", "message"),
    [
        (["clothing-cpu"], "give a second run"),
        (["clothing-cpu", "nowhere"], "no such folder or file"),
        (["clothing-cpu", "clothing-training/scratch"], "a record of train cannot be compared"),
        (["clothing-cpu", "range-study"], "a record of study holds no rates"),
        (["clothing-cpu", "limits/clothing"], "consumer drain instead of train"),
    ],
)
def test_runs_that_cannot_be_compared_are_refused_in_one_line(call, runs, message):
    code, _, errors = call("compare", *(RESULTS / run for run in runs))
    assert code == 2
    assert errors.count("\n") == 1
    assert message in errors


@pytest.mark.parametrize(
    ("runs", "said"),
    [
        (["clothing-cpu", "clothing-cpu"], "Cannot tell: 6 of 6"),
        (["limits/clothing", "limits/tf_data-clothing"], "Cannot tell: 3 of 3"),
        (["limits/clothing", "limits/clothing"], "disk, cold, 4 at once"),
        (["fit-clothing", "fit-clothing"], "tf.data.Dataset"),
        (["tune-vs-grid/drain/tune-1.json", "tune-vs-grid/drain/tune-2.json"], "turbo cache"),
        (["tune-vs-grid/drain/grid-1.json", "tune-vs-grid/drain/grid-1.json"], "keras_pil"),
        (
            ["diagnose-clothing/keras_pil-a100-warm", "diagnose-clothing/tf_data-a100-warm"],
            "Faster: end to end, warm",
        ),
        (["fast-training/turbo", "fast-training/packed"], "accuracy within 1 % absolute"),
        (["clothing-training/scratch", "clothing-training/balanced"], "difference +7.8% ["),
    ],
)
def test_published_records_of_every_kind_are_compared(call, runs, said):
    code, out, errors = call("compare", *(RESULTS / run for run in runs))
    assert (code, errors) == (0, "")
    assert said in out


def test_diagnoses_are_compared_by_stall_and_bottleneck(call):
    folders = [
        RESULTS / "diagnose-clothing" / f"{name}-a100-warm" for name in ("keras_pil", "tf_data")
    ]
    _, out, _ = call("compare", *folders, "--fail-if-slower", "5%")
    assert "Stall: 0% [0%, 0%], before: 23% [20%, 25%]" in out
    assert "Bottleneck: accelerator, before: decoding" in out
    assert "--fail-if-slower 5%: passed." in out


def test_diagnoses_on_other_cores_are_compared_and_not_judged(call):
    folders = [RESULTS / "diagnose-clothing" / name for name in ("one-core", "two-cores")]
    code, out, _ = call("compare", *folders, "--fail-if-slower", "5%")
    assert code == 1
    assert "differs: cores 1 against 2" in out
    assert "Faster: end to end, warm (× 1." in out
    assert "nothing could be judged" in out


def test_markdown_holds_tables_and_no_live_names(call, bench, monkeypatch):
    runs = [bench(name, {"a|b<c>*": blocks(100, 1)}) for name in ("x", "y")]
    code, out, _ = call("compare", *runs, "--markdown", "--fail-if-slower", "5%")
    assert code == 0
    assert "| --- | ---: |" in out
    assert r"a\|b&lt;c&gt;\*" in out
    assert "passed" in out


def test_a_run_that_other_programs_disturbed_is_named(call, pair):
    trials = read_trials(pair[1])
    host = Host(at_s=[1.0], cores={0: [1.0], 1: [1.0]})  # its own processes used half a core
    busy = [one.model_copy(update={"host": host}) for one in trials[0].blocks]
    write_trials(pair[1], [trials[0].model_copy(update={"blocks": busy}), *trials[1:]])
    _, out, _ = call("compare", *pair)
    assert "Other programs used up to 1.5 of 2 cores during after. They slow a loader" in out
    assert "Other programs" not in call("compare", pair[0], pair[0])[1]


def test_the_end_of_an_interval_that_excludes_1_is_not_printed_as_1(call, bench):
    rates = {"before": [1000.0, 1001.0, 1002.0], "after": [996.0, 997.0, 998.0]}
    runs = [bench(name, {"turbo": one}) for name, one in rates.items()]
    code, out, _ = call("compare", *runs)
    assert code == 0
    assert "0.9960 [0.9925, 0.9995]" in out
    assert "turbo (× 0.9960 [0.9925, 0.9995])" in out


def test_the_blocks_of_a_rate_without_any_in_its_record_are_unknown(call):
    limits = RESULTS / "limits" / "clothing"
    _, out, _ = call("compare", limits, limits)
    assert set(re.findall(r"disk, cold, \d+ at once .*?cannot tell (\S+)", out)) == {"–"}


def test_rates_below_10_keep_their_digits(call, bench):
    runs = [bench(name, {"turbo": [1.5, 1.5, rate]}) for name, rate in (("a", 2), ("b", 1))]
    assert "1.50" in call("compare", *runs)[1]


def test_equal_names_of_runs_are_numbered(call, bench, tmp_path):
    folder = bench("one", {"turbo": blocks(100, 1)})
    assert "2: one" in call("compare", folder, folder)[1]
    shutil.copytree(folder, tmp_path / "deep" / "one")
    assert "deep/one" in call("compare", folder, tmp_path / "deep" / "one")[1]


@pytest.mark.parametrize("topic", ["spec", "machines", ""])
def test_an_unknown_topic_is_refused_with_the_known_ones(call, pair, topic):
    code, _, errors = call("compare", *pair, "--allow-different", topic)
    assert code == 2
    assert "machine" in errors


def test_one_device_alone_is_not_taken_for_all_of_them(call, bench, tmp_path):
    devices = {"consumer": "train", "device": "CPU", "devices": ["CPU:0", "CPU:1"]}
    runs = [
        bench(name, {"turbo": blocks(100), "synthetic": blocks(200)}, **devices) for name in "ab"
    ]
    for folder in runs:
        both = read_trials(folder)
        alone = both[1].model_copy(update={"alone": True, "blocks": both[0].blocks})
        write_trials(folder, [*both, alone.model_copy(update={"devices": ["CPU:0"]})])
    path = tmp_path / "saved.json"
    code, out, _ = call("compare", *runs, "--json", path)
    assert code == 0
    assert "on 2 logical devices of the CPU" in out
    rates = {pair["name"]: pair["base"]["median"] for pair in json.loads(path.read_text())["pairs"]}
    assert rates["synthetic"] == pytest.approx(200, rel=0.05)
    assert rates["synthetic on one device"] == pytest.approx(100, rel=0.05)


def test_the_number_of_devices_is_a_condition(call, bench):
    one = {"consumer": "train", "device": "CPU", "devices": ["CPU:0"]}
    two = one | {"devices": ["CPU:0", "CPU:1"]}
    runs = (bench("one", {"turbo": blocks(100)}, **one), bench("two", {"turbo": blocks(50)}, **two))
    code, out, _ = call("compare", *runs, "--fail-if-slower", "5%")
    assert code == 1
    assert "2 × CPU" in out
    assert "nothing could be judged" in out


@pytest.fixture
def drifted(bench):
    """Two runs: tf_data slowed by 10 %, on a machine that has become 15 % slower or faster."""

    def runs(speed: float, **others) -> tuple[Path, Path]:
        random = np.random.default_rng(1)
        walks = np.exp(np.cumsum(random.normal(0, 0.02, (2, 9)), axis=1)) * [[1], [speed]]
        rates = {
            name: [np.array(blocks(rate, seed + run, count=9)) * walks[run] for run in (0, 1)]
            for name, rate, seed in (("tf_data", 1000, 1), ("keras_directory", 900, 3))
        }
        rates["tf_data"][1] *= 0.9
        return tuple(
            bench(name, {key: both[run].tolist() for key, both in rates.items()} | others)
            for run, name in enumerate(("before", "after"))
        )

    return runs


@pytest.mark.parametrize("speed", [0.85, 1.15])
def test_relative_to_a_loader_the_speed_of_the_machine_cancels(call, drifted, speed, tmp_path):
    path = tmp_path / "saved.json"
    arguments = ["--relative-to", "keras_directory", "--fail-if-slower", "5%", "--json", path]
    code, out, _ = call("compare", *drifted(speed), *arguments)
    assert code == 3
    assert "Slower: tf_data (× 0.9" in out
    assert "divided by those of keras_directory in the same rounds" in out
    comparison = read_result(path).comparison
    assert comparison.relative_to == "keras_directory"
    rates = {pair.name: pair for pair in comparison.pairs}
    assert rates["tf_data"].ratio.value == pytest.approx(0.9, abs=0.02)
    assert rates["tf_data"].base.value == pytest.approx(1000, rel=0.2)  # images/s, as measured
    reference = rates["keras_directory"]
    assert reference.ratio.value == pytest.approx(speed, rel=0.1)
    assert not reference.is_judged
    assert call("show", path)[:2] == (0, out)


def test_without_a_reference_the_same_runs_are_not_told_apart_from_a_faster_machine(call, drifted):
    code, out, _ = call("compare", *drifted(1.15), "--fail-if-slower", "5%")
    assert code == 0
    assert "Slower: tf_data" not in out


@pytest.mark.parametrize("reference", ["turbo", "tf_data"])
def test_a_winner_that_is_the_reference_is_compared_as_a_multiple_of_itself(
    call, bench, tmp_path, reference
):
    rates = [{"turbo": 1000, "tf_data": 800}, {"turbo": 1000, "tf_data": 2000}]
    trials = [{name: blocks(rate, 7) for name, rate in one.items()} for one in rates]
    runs = [bench(name, one) for name, one in zip(("a", "b"), trials, strict=True)]
    saved = tmp_path / "saved.json"
    call("compare", *runs, "--relative-to", reference, "--json", saved)
    pairs = [pair for pair in read_result(saved).comparison.pairs if pair.base_name != pair.name]
    assert [pair.name for pair in pairs] == ["tf_data"]
    # The winner of the base is turbo: 1 times turbo, or 1.25 times tf_data.
    expected = 2.0 if reference == "turbo" else 1 / 1.25
    assert pairs[0].ratio.value == pytest.approx(expected, rel=0.01)


def test_rounds_that_the_reference_lacks_do_not_count(call, bench, tmp_path):
    short, whole = blocks(900, 1), blocks(1000, 2)
    runs = [bench(name, {"turbo": whole, "tf_data": short[:3]}) for name in ("a", "b")]
    saved = tmp_path / "saved.json"
    assert call("compare", *runs, "--relative-to", "tf_data", "--json", saved)[0] == 0
    pairs = {pair.name: pair for pair in read_result(saved).comparison.pairs}
    assert pairs["turbo"].blocks == (3, 3)
    assert pairs["turbo"].ratio.value == pytest.approx(1)


@pytest.mark.parametrize(
    ("name", "words"), [("packed", "has no such loader: tf_data; keras_directory"), ("", "has no")]
)
def test_a_reference_that_a_run_lacks_is_refused_in_one_line(call, drifted, name, words):
    code, _, errors = call("compare", *drifted(1.0), "--relative-to", name)
    assert code == 2
    assert errors.count("\n") == 1
    assert f"--relative-to {name}: " in errors
    assert words in errors


def test_a_reference_of_which_a_run_has_several_is_refused_in_one_line(call, bench):
    runs = [bench(name, {"turbo": blocks(900), "tf_data": blocks(900)}) for name in ("a", "b")]
    for run in runs:
        trials = read_trials(run)
        settings = ({"prefetch": 0}, {"prefetch": 4})
        turbos = [trials[0].model_copy(update={"settings": one}) for one in settings]
        write_trials(run, [*turbos, trials[1]])
    code, _, errors = call("compare", *runs, "--relative-to", "turbo")
    assert code == 2
    assert "has several of this name: turbo prefetch=0; turbo prefetch=4" in errors
    assert call("compare", *runs, "--relative-to", "turbo prefetch=4")[0] == 0


def test_a_reference_without_blocks_is_refused_in_one_line(call, drifted):
    runs = drifted(1.0, keras_pil=[])
    code, _, errors = call("compare", *runs, "--relative-to", "keras_pil")
    assert code == 2
    assert errors.count("\n") == 1
    assert "--relative-to keras_pil" in errors


def test_trainings_have_no_reference(call):
    runs = [RESULTS / "fast-training" / name for name in ("turbo", "packed")]
    code, _, errors = call("compare", *runs, "--relative-to", "turbo")
    assert code == 2
    assert "have no rounds in common" in errors
