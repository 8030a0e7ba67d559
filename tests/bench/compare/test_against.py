"""bench --against times the old choice in the same rounds, and compares the others with it."""

import json
from pathlib import Path
from textwrap import dedent

import pytest

from feedbench.bench.analysis.summary import summarize
from feedbench.bench.commands.against import Old, find_old
from feedbench.bench.commands.run_against import compare_with_old
from feedbench.bench.commands.run_bench import MeasuredBench
from feedbench.bench.compare.against import compare_against
from feedbench.bench.compare.history import read_history
from feedbench.bench.errors import PlanError, RecordError
from feedbench.bench.plan.plan import Choice
from feedbench.bench.results.find import read_result
from feedbench.bench.trials_file import read_trials

RESULTS = Path(__file__).parents[3] / "results"
QUICK = ["--consumer", "drain", "--batch-size", "8", "--image-size", "32", "--blocks", "3"]
QUICK += ["--block-seconds", "0.05", "--warm-up-seconds", "0"]
PIPELINE = """
    import numpy as np

    def make(batch_size, image_size):
        images = np.zeros((batch_size, image_size, image_size, 3), np.float32)
        while True:
            yield images, np.zeros(batch_size, np.int32)
    """


@pytest.fixture
def beside(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_result_is_timed_again_and_compared(call, beside, tiny_photos):
    best = 'loader = "turbo"\n[settings]\nnum_threads = 1\n[spec]\nimage_size = 224\n'
    (beside / "old.toml").write_text(best)
    options = ["--loader", "turbo", "--against", "old.toml", "--out", "new", "--history", "rates"]
    code, out, _ = call("bench", tiny_photos, *QUICK, *options, "--fail-if-slower", "99%")
    assert code == 0
    assert "image_size 32 (then 224)" in out
    assert "Compared with turbo num_threads=1, over blocks of the same rounds" in out
    assert "--fail-if-slower 99%: passed" in out
    assert "measured at different times" not in out
    comparison = read_result(beside / "new" / "compare.json").comparison
    assert comparison.is_paired
    (pair,) = comparison.pairs
    assert (pair.name, pair.base_name, pair.blocks) == ("turbo", "turbo num_threads=1", (3, 3))
    (entry,) = read_history(beside / "rates")
    assert {trial.name for trial in entry.trials} == {"turbo", "turbo num_threads=1"}
    trials = read_trials(beside / "new")
    assert [(len(one.blocks), len(one.warm_ups)) for one in trials] == [(3, 3)] * 2
    assert "Next:" not in out


def test_another_version_of_a_users_file_is_the_old_code(call, beside, tiny_photos):
    (beside / "old").mkdir()
    for path in ("pipeline.py", "old/pipeline.py"):
        (beside / path).write_text(dedent(PIPELINE))
    options = ["--loader", "pipeline.py:make", "--against", "old/pipeline.py:make"]
    options += ["--no-fresh-processes"]
    code, out, _ = call("bench", tiny_photos, *QUICK, *options, "--out", "new")
    assert code == 0
    assert "Against old/pipeline.py:make, file" in out
    assert "Compared with old/pipeline.py:make, over blocks of the same rounds" in out
    assert [len(one.warm_ups) for one in read_trials(beside / "new")] == [1, 1]


def refusal(call, photos, *options) -> str:
    code, _, errors = call("bench", photos, *QUICK, *options, "--out", "new")
    assert code == 2
    assert errors.count("\n") == 1
    assert not Path("new").exists()
    return errors


def test_what_cannot_be_compared_is_refused_before_anything_is_timed(call, beside, tiny_photos):
    (beside / "pipeline.py").write_text(dedent(PIPELINE))
    best = 'loader = "pipeline.py:make"\nown = "0000"\n'
    (beside / "best.toml").write_text(best)
    own = ["--loader", "pipeline.py:make", "--against", "best.toml"]
    assert "give --against OLD.py:FUNCTION" in refusal(call, tiny_photos, *own)
    same = ["--loader", "turbo", "--against", "turbo"]
    assert "nothing else is measured" in refusal(call, tiny_photos, *same)
    alone = ["--loader", "turbo", "--fail-if-slower", "5%"]
    assert "Give --against too" in refusal(call, tiny_photos, *alone)
    limits = ["--loader", "turbo", "--against", RESULTS / "limits" / "clothing"]
    assert "chose no loader" in refusal(call, tiny_photos, *limits)
    gone = ["--loader", "turbo", "--against", "gone/"]
    assert "gone: no such folder or file" in refusal(call, tiny_photos, *gone)
    missing = ["--loader", "turbo", "--history", "nowhere/rates"]
    assert "--history nowhere/rates: cannot be written" in refusal(call, tiny_photos, *missing)
    (beside / "rates").write_text("no history\n")
    damaged = ["--loader", "turbo", "--history", "rates"]
    assert "line 1 is not a run of a history" in refusal(call, tiny_photos, *damaged)


@pytest.mark.parametrize(
    ("place", "choice"),
    [
        ("clothing-cpu", "tf_data cache=decoded"),
        ("clothing-cpu/best.toml", "tf_data cache=decoded"),
        ("clothing-cpu/summary.json", "tf_data cache=decoded"),
        ("tune-vs-grid/drain/tune-1.json", "turbo cache=decoded"),
        ("diagnose-clothing/keras_pil-a100-warm", "keras_pil"),
        ("fast-training/turbo", "turbo"),
    ],
)
def test_every_kind_of_result_names_its_choice(place, choice):
    assert str(find_old(str(RESULTS / place)).choice) == choice


@pytest.fixture
def slowed(trial):
    """A bench in which the new setting is 10 % slower, and the machine drifts."""
    drift = [1.0, 0.9, 1.1, 0.8, 1.2]

    def recorded(loader, rates, **values):
        return trial(loader, rates, consumer="drain", **values)

    old = recorded("turbo", [1000.0 * one for one in drift])
    new = recorded("tf_data", [900.0 * one for one in drift])
    failed = recorded("packed", [], error="no pack")
    trials = [new, old, recorded("synthetic", [1.0] * 5), failed]
    return MeasuredBench(trials, summarize(trials), None, False)


def test_drift_that_all_share_hides_no_slowdown(slowed, tmp_path):
    comparison = compare_against(slowed.trials, "turbo", tmp_path, 0.05)
    tf_data, packed = comparison.pairs
    assert (tf_data.outcome, tf_data.ratio.value) == ("slower", pytest.approx(0.9, abs=0.001))
    assert (packed.error, packed.ratio) == ("no pack", None)
    assert comparison.gate.failed == ["tf_data", "packed failed"]


def test_a_slowdown_ends_the_bench_with_exit_code_3(slowed, tmp_path, capsys):
    old = Old("best.toml", Choice(loader="turbo"), None, {})
    with pytest.raises(BaseException, match="3") as ended:
        compare_with_old(slowed, old, tmp_path, 0.05)
    assert ended.value.exit_code == 3
    assert "Slower: tf_data" in capsys.readouterr().out
    assert json.loads((tmp_path / "compare.json").read_text())["gate"]["limit"] == 0.05


def test_an_old_choice_that_fails_is_reported(slowed, tmp_path):
    with pytest.raises(RecordError, match="packed could not be measured: no pack"):
        compare_against(slowed.trials, "packed", tmp_path)


def test_a_result_without_a_choice_is_refused(tmp_path):
    with pytest.raises(PlanError, match="chose no loader"):
        find_old(str(RESULTS / "range-study"))
