"""tune: what it writes, its budget, and how it is resumed."""

import json
import shlex
import shutil
import signal
import subprocess
import sys
import time
import tomllib
from importlib.metadata import version

import pytest

from feedbench.bench.cli import main
from feedbench.bench.environment import usable_cores
from feedbench.bench.errors import INTERRUPTED, RecordError
from feedbench.bench.pixels.result import LoaderPixels, PixelComparison, not_compared
from feedbench.bench.plan.plan import Choice, Failures, PixelCheck, Plan, Timing
from feedbench.bench.record import Block, Conditions, Trial
from feedbench.bench.trials.bench import DeadlinePassed
from feedbench.bench.trials_file import read_trials
from feedbench.bench.tune import tune
from feedbench.bench.tune.races import LEAST_MEASURED_ROUNDS, TOO_SHORT
from feedbench.bench.tune.record import EarlierSearch, TuneRecord
from feedbench.bench.tune.search import UNCONFIRMED, Search
from feedbench.bench.tune.space import grid_size
from feedbench.bench.tune.table import verdict
from feedbench.bench.tune.tune import Budget, Callbacks, Tune, pixel_refusal
from feedbench.loaders import BatchSpec, scan
from feedbench.trainer import Recipe

SMALL = ["--consumer", "drain", "--image-size", "32", "--batch-size", "8"]
TURBO, PIL = Choice(loader="turbo"), Choice(loader="keras_pil")


class FakeBench:
    """A bench whose blocks take no time but count as seconds; rates are by the rule."""

    rule = staticmethod(lambda choice: 2000.0 if choice.loader == "turbo" else 1000.0)
    seconds = staticmethod(lambda loader: 1)
    warm_up_s = staticmethod(lambda choice: 0)
    now = 0.0

    def __init__(self, plan, manifest, folder, on_event):
        self.conditions = Conditions(rows="rows", machine={}, versions={})
        self.trials, self.deadline, self.ended = [], float("inf"), []
        self.running = set()

    def add(self, choice):
        trial = Trial(
            **dict(self.conditions), loader=choice.loader, settings=choice.settings,
            all_settings={}, consumer="drain", spec={}, recipe={}, images=1,
            warm_ups=[{"start_s": 1, "first_batch_s": 1, "seconds": 1, "images": 1}],
        )  # fmt: skip
        self.trials.append(trial)
        return len(self.trials) - 1

    def time_block(self, index, round_index):
        trial = self._warmed_up(index)
        FakeBench.now += self.seconds(trial.loader)
        if FakeBench.now > self.deadline:
            raise DeadlinePassed
        rate = self.rule(Choice(loader=trial.loader, settings=trial.settings))
        if isinstance(rate, str):
            update = {"error": rate}
        else:
            images = round(rate * (1 + 0.01 * ((7 * round_index + index) % 3)))
            block = Block(round=round_index, seconds=1, images=images, wait_s=[], step_s=[])
            update = {"blocks": [*trial.blocks, block]}
        self.trials[index] = trial.model_copy(update=update)

    def _warmed_up(self, index):
        trial = self.trials[index]
        seconds = self.warm_up_s(Choice(loader=trial.loader, settings=trial.settings))
        if seconds and index not in self.running:
            FakeBench.now += seconds
            again = trial.warm_ups[0].model_copy(update={"seconds": seconds})
            self.trials[index] = trial.model_copy(update={"warm_ups": [*trial.warm_ups, again]})
        self.running.add(index)
        return self.trials[index]

    def start_together(self, indices):
        assert self.trials

    def end(self, index):
        self.running.discard(index)
        self.ended.append(index)

    def close(self):
        pass


@pytest.fixture
def search(tiny_photos, tmp_path, monkeypatch):
    """A function: search with made-up rates, and return the record and the search."""
    monkeypatch.setattr(tune, "Bench", FakeBench)
    monkeypatch.setattr(tune, "monotonic", lambda: FakeBench.now)
    manifest = scan(tiny_photos).only("train")

    def search(
        rule=FakeBench.rule,
        seconds=1e6,
        earlier=EarlierSearch(),  # noqa: B008  immutable
        memory=None,
        pixels=None,
        fitting=None,
        loaders=(PIL, TURBO),
    ):
        monkeypatch.setattr(FakeBench, "rule", staticmethod(rule))
        monkeypatch.setattr(FakeBench, "now", 0.0)
        plan = Plan(loaders, BatchSpec(), Recipe(), "drain", Timing(), Failures(), PixelCheck())
        running = Tune(
            plan, manifest, tmp_path, Budget(seconds, memory, 0.0, fitting), earlier,
            lambda: pixels, "feedbench tune …", Callbacks(*[lambda told: None] * 3),
        )  # fmt: skip
        return running.run(), running

    return search


def outcomes(findings):
    return {(str(one.choice), str(one.against), one.outcome) for one in findings}


def earlier(folder):
    record = TuneRecord.model_validate_json((folder / "tune.json").read_text())
    return EarlierSearch(tuple(read_trials(folder)), tuple(record.failures), record.seconds)


@pytest.mark.parametrize(
    ("blocks", "said"),
    [
        (0, "The search was interrupted before a block was timed."),
        (2, "The search was interrupted before configurations could be compared."),
        (60, "Take turbo"),
    ],
)
def test_ctrl_c_leaves_a_record_with_the_reason(search, tmp_path, blocks, said):
    timed = []

    def rule(choice):
        if len(timed) == blocks:
            raise KeyboardInterrupt
        timed.append(choice)
        return 1000.0 if choice.loader == "turbo" else 500.0

    with pytest.raises(KeyboardInterrupt):
        search(rule)
    record = TuneRecord.model_validate_json((tmp_path / "tune.json").read_text())
    assert record.interrupted
    assert not record.finished
    assert sum(one.blocks for one in record.timed) == blocks
    text = verdict(record)
    assert text.startswith(said)
    assert "budget" not in text
    assert "To resume the search: feedbench tune …" in text


def test_ctrl_c_while_the_best_is_measured_is_in_the_record(search, tmp_path, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(Search, "measure_best", interrupted)
    with pytest.raises(KeyboardInterrupt):
        search(lambda choice: 1000.0 if choice.loader == "turbo" else 500.0)
    record = TuneRecord.model_validate_json((tmp_path / "tune.json").read_text())
    assert record.interrupted


def test_every_block_is_in_the_folder_before_the_next_is_timed(search, tmp_path):
    timed = [0]

    def rule(choice):
        trials = read_trials(tmp_path)
        assert sum(len(trial.blocks) for trial in trials) == timed[0]
        # As what a kill now would leave.
        assert json.loads((tmp_path / "tune.json").read_text())["interrupted"]
        timed[0] += 1
        return 1000.0

    search(rule)
    assert timed[0] > 20
    assert not json.loads((tmp_path / "tune.json").read_text())["interrupted"]


@pytest.mark.parametrize("seconds", range(20, 100, 9))
def test_a_search_ends_within_its_budget_and_still_measures_its_best(search, seconds):
    def rule(choice):
        faster = choice.loader == "turbo" and choice.settings.get("cache") == "decoded"
        return 4000.0 if faster else 1000.0

    record, running = search(rule, seconds=seconds)
    assert not record.finished
    assert FakeBench.now <= seconds
    if record.compared:
        assert len(running._measured()) >= LEAST_MEASURED_ROUNDS
        assert record.images_per_second.value == pytest.approx(rule(record.best), rel=0.03)


@pytest.mark.parametrize(("seconds", "known", "alone"), [(0.5, 1, 0), (1.5, 1, 0), (6, 2, 3)])
def test_a_budget_that_ends_before_a_comparison_leaves_what_looks_fastest(
    search, seconds, known, alone
):
    record, _ = search(seconds=seconds)
    rates = {str(one.choice): one.images_per_second for one in record.timed}
    assert len(rates) == known
    assert str(record.best) == max(rates, key=rates.get)
    assert (record.compared, record.findings) == (False, [])
    blocks = {str(one.choice): one.blocks for one in record.timed}
    assert blocks[str(record.best)] == 1 + alone
    assert (record.images_per_second is None) == (not alone)
    assert "looks fastest, but the budget was too short to compare" in verdict(record)


def test_a_short_budget_compares_the_two_fastest(search, monkeypatch):
    rates = {"keras_pil": 300.0, "tf_data": 1000.0, "turbo": 2000.0}
    seconds = {"keras_pil": 6, "tf_data": 2, "turbo": 1}
    monkeypatch.setattr(FakeBench, "seconds", staticmethod(seconds.get))
    loaders = (PIL, Choice(loader="tf_data"), TURBO)
    record, _ = search(lambda choice: rates[choice.loader], seconds=20, loaders=loaders)
    found = {str(one.choice): (one.outcome, one.pairs, one.reason) for one in record.findings}
    assert found["tf_data"] == ("slower", 3, "")
    assert found["keras_pil"] == ("cannot tell", 0, TOO_SHORT)
    assert (record.best, record.compared, record.finished) == (TURBO, True, False)
    assert record.images_per_second.interval
    assert 16 <= FakeBench.now <= 20


def test_a_race_that_was_left_before_it_was_judged_has_compared_nothing(search):
    calls = []

    def rule(choice):
        calls.append(choice)
        is_killed = choice == TURBO and calls.count(TURBO) == 3
        return "killed" if is_killed else (2000.0 if choice == TURBO else 1000.0)

    record, _ = search(rule, seconds=11)
    (finding,) = record.findings
    assert (finding.choice, finding.pairs, finding.reason) == (PIL, 0, TOO_SHORT)
    assert (record.best, record.compared) == (TURBO, False)
    assert "looks fastest, but the budget was too short to compare" in verdict(record)


@pytest.mark.parametrize("seconds", range(60, 84, 2))
def test_time_is_kept_to_start_the_winner_again_and_measure_it(search, monkeypatch, seconds):
    monkeypatch.setattr(FakeBench, "warm_up_s", staticmethod(lambda choice: 10))
    record, running = search(
        lambda choice: 4000.0 if choice.settings.get("cache") == "decoded" else 1000.0,
        seconds=seconds,
        loaders=(TURBO,),
    )
    assert FakeBench.now <= seconds
    assert record.compared
    assert len(running._measured()) >= LEAST_MEASURED_ROUNDS
    assert record.images_per_second.value == pytest.approx(FakeBench.rule(record.best), rel=0.03)


def test_what_looked_faster_without_time_to_confirm_it_is_named(search):
    def rule(choice):
        return 4000.0 if choice.settings.get("cache") == "decoded" else 1000.0

    records = [search(rule, seconds=seconds)[0] for seconds in range(20, 60, 5)]
    unconfirmed = [
        (record, finding)
        for record in records
        for finding in record.findings
        if finding.reason == UNCONFIRMED and finding.against == record.best
    ]
    assert unconfirmed
    for record, finding in unconfirmed:
        assert (finding.outcome, finding.choice == record.best) == ("cannot tell", False)
        assert f"{finding.choice} looked faster, rate ratio 4.0" in verdict(record)
        assert not record.finished


def test_what_failed_or_must_not_win_is_not_recommended_for_lack_of_time(search):
    record, _ = search(lambda choice: "killed" if choice == TURBO else 500.0, seconds=3)
    assert (record.best, record.compared) == (PIL, False)
    record, _ = search(seconds=9, pixels=not_compared([PIL, TURBO], 3.0, "time limit"))
    assert record.best is None


def test_loaders_that_fail_after_the_budget_exceed_it_by_one_block(search, monkeypatch):
    monkeypatch.setattr(FakeBench, "seconds", staticmethod(lambda loader: 60))
    loaders = (PIL, Choice(loader="tf_data"), TURBO)
    record, _ = search(lambda choice: "hung", seconds=20, loaders=loaders)
    assert FakeBench.now == 60
    assert [failure.reason for failure in record.failures] == ["hung"]
    search(lambda choice: "hung", seconds=100, loaders=loaders)
    assert FakeBench.now == 120


def test_a_search_that_had_no_time_for_all_loaders_is_not_finished(search):
    record, _ = search(fitting=1)
    assert {one.choice.loader for one in record.timed} == {"keras_pil"}
    assert not record.finished


def test_a_failed_block_is_followed_by_a_new_trial_and_kept_for_a_resumed_search(search, tmp_path):
    calls = [0]

    def rule(choice):
        calls[0] += choice == TURBO
        if choice == TURBO and calls[0] == 4:
            return "killed"
        return 2000.0 if choice.loader == "turbo" else 1000.0

    record, running = search(rule)
    of_turbo = [
        trial for trial in running._bench.trials if (trial.loader, trial.settings) == ("turbo", {})
    ]
    assert [trial.error for trial in of_turbo] == ["killed", None]
    assert [failure.reason for failure in record.failures] == ["killed"]
    again, rest = search(rule, earlier=earlier(tmp_path))
    assert rest._bench.trials == []
    assert (again.best, again.findings) == (record.best, record.findings)


@pytest.mark.parametrize("seconds", [5, 20, 47, 90])
def test_a_resumed_search_takes_the_same_decisions(search, tmp_path, seconds):
    first, _ = search(seconds=seconds)
    resumed, _ = search(earlier=earlier(tmp_path))
    whole, _ = search()
    decided = outcomes(one for one in first.findings if not one.reason)
    assert decided <= outcomes(resumed.findings)
    assert resumed.finished
    assert resumed.best == whole.best
    assert resumed.combinations == grid_size(resumed.loaders)


@pytest.mark.parametrize("seconds", [9, 10, 13, 20])
def test_a_search_that_is_resumed_with_too_little_time_keeps_its_results(search, tmp_path, seconds):
    """If there was time for a single round before the race, its first is not taken for another."""
    first, _ = search(seconds=seconds)
    assert {one.outcome for one in first.findings} >= {"slower"}
    resumed, _ = search(seconds=0.1, earlier=earlier(tmp_path))
    assert (resumed.findings, resumed.best) == (first.findings, first.best)
    assert resumed.compared


@pytest.mark.parametrize("seconds", [62, 66, 70])
def test_a_resumed_search_keeps_what_it_had_found_without_the_slowest_loader(
    search, tmp_path, monkeypatch, seconds
):
    """Time that would be enough for all loaders is not spent on the first race again."""
    loaders = (PIL, Choice(loader="tf_data"), TURBO)
    rates = {"keras_pil": 100.0, "tf_data": 800.0, "turbo": 1000.0}
    took = {"keras_pil": 14, "tf_data": 2, "turbo": 1}
    monkeypatch.setattr(FakeBench, "seconds", staticmethod(took.get))

    def rule(choice):
        return rates[choice.loader] * (2 if choice.settings.get("cache") == "decoded" else 1)

    first, _ = search(rule, seconds=seconds, loaders=loaders)
    assert PIL in [one.choice for one in first.findings if one.reason == TOO_SHORT]
    again, _ = search(rule, seconds=seconds, loaders=loaders, earlier=earlier(tmp_path))
    assert rule(again.best) >= rule(first.best) == 2000
    whole, _ = search(rule, loaders=loaders, earlier=earlier(tmp_path))
    assert whole.finished
    assert (PIL, "slower") in [(one.choice, one.outcome) for one in whole.findings]
    assert TOO_SHORT not in {one.reason for one in whole.findings}


def test_memory_beyond_the_limit_refuses_a_configuration_also_after_a_resume(search, tmp_path):
    record, _ = search()
    trials = [
        trial.model_copy(update={"peak_memory_bytes": 3_000_000 if trial.loader == "turbo" else 1})
        for trial in earlier(tmp_path).trials
    ]
    again, _ = search(earlier=EarlierSearch(tuple(trials)), memory=2_000_000)
    assert record.best.loader == "turbo"
    assert again.best.loader == "keras_pil"
    assert "uses 3 MB of memory, the limit is 2 MB" in {one.reason for one in again.findings}


def test_without_a_comparison_of_pixels_nothing_is_recommended(search):
    record, _ = search(pixels=not_compared([PIL, TURBO], 3.0, "time limit"))
    assert record.best is None
    assert {finding.outcome for finding in record.findings} == {"refused"}
    assert "its pixels could not be compared: time limit" in record.findings[0].reason


# With Python's handler of Ctrl-C, whatever these tests inherited.
PROGRAM = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)
from feedbench.bench.cli import main
from feedbench.bench.commands import tune
from feedbench.bench.tune import forecast
short = {"block_seconds": 0.1, "block_steps": 5, "warm_up_seconds": 0.1}
tune._TIMING = tune._TIMING.model_copy(update=short)
forecast._START_S = 0.0
main()
"""


def start(*arguments, cwd):
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=cwd,
    )


def timed_blocks(folder):
    try:
        return [block.began for trial in read_trials(folder) for block in trial.blocks]
    except RecordError:
        return []


def test_a_killed_search_is_resumed_by_its_own_command(tiny_photos, tmp_path, monkeypatch):
    (tmp_path / "my photos").symlink_to(tiny_photos)
    options = ["--loader", "keras_pil", "--loader", "turbo", *SMALL]
    out = tmp_path / "the search"
    arguments = ["tune", "my photos", *options, "--budget", "1h", "--out", "the search"]
    with start(*arguments, cwd=tmp_path) as running:
        while not timed_blocks(out):
            assert running.poll() is None, running.communicate()
            time.sleep(0.05)
        running.kill()
    before = timed_blocks(out)
    command = json.loads((out / "tune.json").read_text())["resume"]

    with start(*shlex.split(command)[1:], cwd=tmp_path) as running:
        for line in running.stderr:
            if " against " in line:
                break
        running.send_signal(signal.SIGINT)
        output, error = running.communicate()
    assert "starting " not in output  # progress is not among the results
    assert running.returncode == INTERRUPTED
    assert "the best so far is in the search" in error
    assert error.rstrip().endswith(command)
    assert set(before) <= set(timed_blocks(out))
    best = tomllib.loads((out / "best.toml").read_text())
    assert best["rows"] == scan(tiny_photos).only("train").fingerprint(sizes=True)
    assert best["predicted"]["images_per_second"]["median"] > 0
    assert (out / "worth.png").read_bytes().startswith(b"\x89PNG")

    record = json.loads((out / "tune.json").read_text())
    monkeypatch.chdir(tmp_path)
    resumed = ["tune", "my photos", *options, "--budget", "1s", "--resume", "the search"]
    monkeypatch.setattr(sys, "argv", ["feedbench", *resumed])
    with pytest.raises(SystemExit) as exit_info:
        main()
    assert exit_info.value.code in (0, None)
    after = json.loads((out / "tune.json").read_text())
    assert not after["finished"]
    assert (after["best"], after["findings"]) == (record["best"], record["findings"])
    assert after["seconds"] > record["seconds"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--budget", "soon"], "--budget soon: must be a time such as 90s, 5m or 1h"),
        (["--max-cores", "4096"], "--max-cores 4096: this process may use only"),
        (["--loader", "turbo", "--set", "tf_data.prefetch=1"], "tf_data is not used here"),
        (["--loader", "synthetic"], "--loader synthetic: synthetic images"),
        (["--resume", "{tmp}"], "tune.json: No such file or directory; give the folder of a tune"),
    ],
    ids=str,
)
def test_a_users_mistake_gives_one_line(
    tiny_photos, tmp_path, monkeypatch, capsys, options, message
):
    options = [option.format(tmp=tmp_path) for option in options]
    monkeypatch.setattr(sys, "argv", ["feedbench", "tune", str(tiny_photos), *SMALL, *options])
    with pytest.raises(SystemExit) as exit_info:
        main()
    assert exit_info.value.code == 2
    assert message in capsys.readouterr().err


@pytest.fixture(scope="module")
def small_search(tiny_photos, tmp_path_factory):
    """The folder of a search whose budget was too small to compare anything, and its output."""
    out = tmp_path_factory.mktemp("search") / "tune"
    options = [*SMALL, "--loader", "turbo", "--budget", "1s", "--out", str(out)]
    with start("tune", str(tiny_photos), *options, cwd=out.parent) as running:
        output, _ = running.communicate()
    return out, running.returncode, output


def test_a_budget_that_is_too_short_is_said_to_be(small_search):
    out, code, output = small_search
    assert code == 0
    assert "turbo looks fastest, but the budget was too short to compare" in output
    assert f"feedbench tune --resume {out} " in output
    assert " --budget 1m\n" in output
    rate = json.loads((out / "tune.json").read_text())["images_per_second"]
    best = tomllib.loads((out / "best.toml").read_text())
    assert ("predicted" in best) == (rate is not None)  # a fast machine still times some blocks


def test_a_budget_in_which_nothing_can_be_timed_is_refused_before_anything_starts(
    tiny_photos, tmp_path, monkeypatch, capsys
):
    options = [*SMALL, "--budget", "2s", "--out", str(tmp_path / "out")]
    monkeypatch.setattr(sys, "argv", ["feedbench", "tune", str(tiny_photos), *options])
    with pytest.raises(SystemExit) as exit_info:
        main()
    assert exit_info.value.code == 2
    assert "--budget 2s: too short to start and time a single loader" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.fixture
def resume_error(tmp_path, monkeypatch, capsys, small_search):
    """A function: resume a copy of the search with another tune.json, and return the error."""

    def resume(photos, change=lambda values: None, *options):
        shutil.copytree(small_search[0], tmp_path / "tune", dirs_exist_ok=True)
        path = tmp_path / "tune" / "tune.json"
        values = json.loads(path.read_text())
        change(values)
        path.write_text(json.dumps(values))
        options = ["--loader", "turbo", *options, "--resume", str(tmp_path / "tune")]
        command = ["feedbench", "tune", str(photos), *SMALL, "--budget", "1s", *options]
        monkeypatch.setattr(sys, "argv", command)
        with pytest.raises(SystemExit) as exit_info:
            main()
        error = capsys.readouterr().err
        assert (exit_info.value.code, error.count("\n")) == (2, 1)
        assert str(path) in error
        return error

    return resume


def test_a_search_is_not_resumed_on_other_photographs(resume_error, tiny_photos, tmp_path):
    photos = shutil.copytree(tiny_photos, tmp_path / "photos")
    with (photos / "train" / "circle" / "0.jpg").open("ab") as file:
        file.write(b"more")
    rows = [scan(root).only("train").fingerprint(sizes=True) for root in (tiny_photos, photos)]
    assert f"photographs {rows[0][:12]} against {rows[1][:12]}" in resume_error(photos)


def test_a_search_is_not_resumed_on_another_machine(resume_error, tiny_photos):
    error = resume_error(
        tiny_photos, lambda record: record["conditions"]["machine"].update(cores=4096)
    )
    assert f"cores 4096 against {usable_cores()}" in error


def test_a_search_is_not_resumed_with_other_versions(resume_error, tiny_photos):
    error = resume_error(
        tiny_photos, lambda record: record["conditions"]["versions"].update(keras="2.0")
    )
    assert f"keras 2.0 against {version('keras')}" in error


@pytest.mark.parametrize(
    "change",
    [lambda record: record.pop("conditions"), lambda record: record["about"].pop("loaders")],
    ids=["conditions", "about"],
)
def test_a_search_without_what_must_be_equal_is_not_resumed(resume_error, tiny_photos, change):
    assert "written by an older version" in resume_error(tiny_photos, change)


@pytest.mark.parametrize(
    ("options", "difference"),
    [
        (["--loader", "tf_data"], "loaders turbo against turbo, tf_data"),
        (["--set", "turbo.prefetch=4"], "loaders turbo against turbo prefetch=4"),
        (["--max-memory", "2"], "max_memory None against 2000000000"),
        (["--consumer", "train"], "consumer drain against train"),
        (["--consumer", "emulated:a100"], "consumer drain against emulated:a100"),
        (["--batch-size", "16"], "spec.batch_size 8 against 16"),
        (["--alpha", "0.5"], "recipe.alpha 1.0 against 0.5"),
        (["--seed", "7"], "seed 0 against 7"),
        (["--allow-different-pixels"], "allow_different_pixels False against True"),
    ],
    ids=str,
)
def test_a_search_is_not_resumed_with_other_options(resume_error, tiny_photos, options, difference):
    error = resume_error(tiny_photos, lambda values: None, *options)
    assert f"the search was started with {difference}; give the options of that search" in error


def test_a_search_is_not_resumed_with_another_profile_of_an_accelerator(resume_error, tiny_photos):
    def change(values):
        values["about"]["accelerator"] = {"images_per_second": 1.0}

    assert "accelerator {'images_per_second': 1.0} against None" in resume_error(
        tiny_photos, change
    )


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"decode": "scaled", "cache": "decoded"}, "its pixels differ, by 9.5 levels"),
        ({"cache": "decoded"}, ""),
    ],
)
def test_pixels_beyond_the_tolerance_are_those_of_the_same_decoding(settings, expected):
    scaled = {"decode": "scaled"}
    pixels = PixelComparison(
        reference="keras_pil",
        tolerance=2.0,
        images=8,
        loaders=[
            LoaderPixels(loader="turbo", settings={}, worst_mean=0.5, within=True),
            LoaderPixels(loader="turbo", settings=scaled, worst_mean=9.5, within=False),
        ],
    )
    choice = Choice(loader="turbo", settings=settings)
    assert pixel_refusal(choice, pixels).startswith(expected)
    assert bool(pixel_refusal(choice, pixels)) == bool(expected)
    assert not pixel_refusal(choice, None)
