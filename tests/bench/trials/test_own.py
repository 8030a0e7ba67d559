"""Trials of users' functions: real processes, each of which imports the user's file itself."""

import re
import sys
import time
from dataclasses import replace
from textwrap import dedent

import psutil
import pytest

from feedbench.bench.analysis.summary import summarize
from feedbench.bench.plan.plan import Choice, Failures, PixelCheck, Plan, Timing
from feedbench.bench.record import Dropped
from feedbench.bench.report.table_notes import notes
from feedbench.bench.trials import silence, worker
from feedbench.bench.trials.child import Child
from feedbench.bench.trials.run import run
from feedbench.bench.trials.timer import Timer
from feedbench.bench.trials_file import read_trials
from feedbench.loaders import BatchSpec, scan
from feedbench.trainer import Recipe

PIPELINE = """
    import multiprocessing
    import subprocess
    import sys
    import time

    import numpy as np

    if __name__ == "__main__":
        raise SystemExit("the main part was run")

    def batch(size):
        return np.zeros((size, 16, 16, 3), np.uint8), np.zeros(size, int)

    def fine(batch_size, manifest, pause=0.0):
        while True:
            for row in range(0, len(manifest) - batch_size + 1, batch_size):
                yield *batch(batch_size), np.arange(row, row + batch_size)

    def uneven():
        while True:
            yield np.zeros((96, 24, 24, 3), "u1"), [0] * 96, [0, 1, 2] * 32

    def prints(batch_size):
        print('{"WarmUpDone": {}}')
        sys.stdout.write("no end of line")
        print("asked:", repr(sys.stdin.read()))
        subprocess.run(["echo", "from a process"], check=True)
        while True:
            print("a batch")
            yield batch(batch_size)

    def leaks(batch_size, pids):
        processes = [multiprocessing.get_context("fork").Process(target=time.sleep, args=[600])]
        processes[0].start()
        for alone in (False, True):
            processes.append(subprocess.Popen(["sleep", "600"], start_new_session=alone))
        with open(pids, "a") as file:
            file.write(" ".join(str(one.pid) for one in processes) + " ")
        while True:
            yield batch(batch_size)

    def fails(batch_size):
        for number in range(100):
            yield batch(batch_size)
        raise ValueError("the [hundred] and first")

    def ends(batch_size):
        yield from [batch(batch_size)] * 3

    def empty(batch_size):
        return []

    def exits(batch_size):
        sys.exit(7)

    def drops(batch_size, report_dropped):
        yield batch(batch_size)
        report_dropped(1, "no picture")
        yield batch(batch_size)
    """


def plan(*choices: Choice, consumer="drain", time_limit=120.0, **spec) -> Plan:
    timing = Timing(blocks=2, block_seconds=0.05, warm_up_seconds=0.01, time_limit=time_limit)
    spec = BatchSpec(**{"batch_size": 8, "image_size": 16, **spec})
    return Plan(choices, spec, Recipe(), consumer, timing, Failures(), PixelCheck())


def own(function: str, **settings) -> Choice:
    return Choice(loader=f"pipeline.py:{function}", settings=settings)


@pytest.fixture(scope="module")
def manifest(tiny_photos):
    return scan(tiny_photos).only("train")


@pytest.fixture
def beside(tmp_path, monkeypatch):
    """A folder with `pipeline.py`, which is the working directory."""
    (tmp_path / "pipeline.py").write_text(dedent(PIPELINE))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_bad_functions_fail_in_one_line_each_and_the_others_go_on(manifest, beside):
    names = ("fine", "prints", "uneven", "fails", "ends", "empty", "exits", "drops")
    choices = (*map(own, names), own("leaks", pids=str(beside / "pids")))
    run(plan(*choices), manifest, beside, lambda event: None)
    trials = {trial.own.function: trial for trial in read_trials(beside)}
    assert {name: trial.error for name, trial in trials.items()} == {
        "fine": None,
        "prints": None,
        "uneven": None,
        "fails": "pipeline.py, line 46, in fails: ValueError: the [hundred] and first (batch 101)",
        "ends": None,
        "empty": "pipeline.py, line 51: empty gave no batch; expected at least one of (images, "
        "labels), and an iterable that can be iterated again",
        "exits": "pipeline.py, line 55, in exits: SystemExit: 7 (while exits was called)",
        "drops": f"{manifest.path(1)}: row 1: drops cannot read it: no picture; fix or remove the "
        "file, find all such files with feedbench scan, or drop them with --on-error skip",
        "leaks": None,
    }
    assert "pipeline" not in sys.modules
    _the_record_says_whose_code_it_was(trials, beside)
    _what_they_print_is_in_the_log(beside)
    _no_process_is_left(beside)
    _only_the_users_traceback_is_shown(trials)


def test_what_an_earlier_process_of_a_trial_found_stays_in_its_record(
    manifest, beside, monkeypatch
):
    time_block = Timer.time
    bad, worse = (Dropped(path=f"{row}.jpg", row=row, reason="broken") for row in (3, 4))
    found = [([bad, worse], (5, 1)), ([bad], (0, 2))]

    def with_faults(timer, *arguments):
        dropped, coverage = found.pop(0)
        return replace(time_block(timer, *arguments), dropped=dropped, coverage=coverage)

    monkeypatch.setattr(Timer, "time", with_faults)
    one = plan(own("fine"))
    timing = one.timing.model_copy(update={"fresh_processes": True})
    (trial,) = run(replace(one, timing=timing), manifest, beside, lambda event: None)
    assert (trial.error, trial.dropped) == (None, [bad, worse])
    assert (trial.own.left_out, trial.own.repeated) == (5, 2)


CACHES = """
    import time

    import numpy as np

    def make(batch_size):
        while True:
            time.sleep(0.02)
            yield np.zeros((batch_size, 16, 16, 3), np.uint8), np.zeros(batch_size, int)
    """


@pytest.mark.parametrize(("text", "fills"), [("dataset.cache()", True), ("a cache", False)])
def test_a_users_cache_is_full_before_the_first_block(manifest, beside, text, fills):
    (beside / "caches.py").write_text(f"{dedent(CACHES)}\n# {text}\n")
    (trial,) = run(plan(Choice(loader="caches.py:make")), manifest, beside, lambda event: None)
    assert trial.error is None
    assert (trial.warm_ups[0].images >= len(manifest) + 2 * 8) == fills


def test_an_epoch_of_a_users_pipeline_is_not_waited_for_without_end():
    needed = worker._Needed(seconds=2, images=24, filling=10**6)
    assert not needed.is_met(59, 10**5)
    assert needed.is_met(60, 10**5)
    assert not needed.is_met(60, 8)
    assert needed.is_met(2, 10**6)
    assert not needed.is_met(1, 10**6)


def _the_record_says_whose_code_it_was(trials, beside):
    fine, prints = trials["fine"].own, trials["prints"].own
    assert (fine.file, fine.rows, prints.rows) == (str(beside / "pipeline.py"), True, False)
    assert fine.digest == prints.digest
    assert (fine.batch_size, fine.left_out, fine.repeated) == (8, 0, 0)
    assert trials["fine"].all_settings == {"pause": 0.0}
    marked = [one for one in summarize(list(trials.values())).trials if one.pixels_unknown]
    assert {one.loader for one in marked} >= {"pipeline.py:prints", "pipeline.py:ends"}
    assert all(one.ranked for one in marked)


def _what_they_print_is_in_the_log(beside):
    log = (beside / "logs" / "trial-01.log").read_text()
    said = "{\"WarmUpDone\": {}}\nno end of lineasked: ''\nfrom a process\na batch\n"
    assert log.startswith(said)


def _no_process_is_left(beside):
    pids = list(map(int, (beside / "pids").read_text().split()))
    psutil.wait_procs([psutil.Process(pid) for pid in pids if psutil.pid_exists(pid)], timeout=60)
    assert pids
    assert not any(psutil.pid_exists(pid) for pid in pids)


def _only_the_users_traceback_is_shown(trials):
    shown = "\n".join(line.text for line in notes(summarize(list(trials.values()))))
    assert 'pipeline.py", line 46, in fails' in shown
    assert shown.count("Traceback") == 2
    assert (
        "pipeline.py:uneven: its batches hold 96 images, not 8 as those of other loaders; give "
        "--batch-size 96, or let it take batch_size.\n"
        "pipeline.py:uneven: its images have 24 × 24 pixels, not 16 × 16 as those of other "
        "loaders; give --image-size 24, or let it take image_size.\n"
        "pipeline.py:uneven: 45 of 48 images did not come in two epochs.\n"
        "pipeline.py:uneven: 3 images came more often than once per epoch."
    ) in shown
    for ours in ("see feedbench pixels", "with feedbench scan"):
        shown = shown.replace(ours, "")
    assert "feedbench" not in shown


def test_a_function_that_hangs_is_ended_at_its_limit_and_the_line_is_named(
    manifest, beside, monkeypatch, capfd
):
    """The limit passes once the process says that it hangs: no machine is too slow for that."""
    (beside / "stuck.py").write_text(
        "import os, time\ndef make():\n    os.mkdir('hangs')\n    time.sleep(600)\n"
    )

    said = ""

    def until_it_hangs(child, deadline, tell):
        nonlocal said
        while not (beside / "hangs").exists() or "stuck.py" not in said:
            time.sleep(0.5)
            tell()
            said += capfd.readouterr().err
        raise TimeoutError

    monkeypatch.setattr(Child, "_line", until_it_hangs)
    monkeypatch.setattr(silence, "FIRST_S", 0.0)
    monkeypatch.setattr(silence, "_FACTOR", 1.0)
    (trial,) = run(plan(Choice(loader="stuck.py:make")), manifest, beside, lambda event: None)
    assert trial.error.startswith("time limit: warm-up did not finish within 120 s; it is at ")
    assert re.search(r"at stuck\.py, line [34], in make; see ", trial.error)
    line = r"feedbench: make \(warm-up\): nothing for \d+ s; it is at stuck\.py, line [34], "
    assert re.search(line, said)


@pytest.mark.parametrize("state", ["warm", None])
def test_files_of_batches_without_rows_are_counted_by_their_mean_size(manifest, beside, state):
    timing = Timing(blocks=1, block_seconds=0.05, warm_up_seconds=0.01, cache_state=state)
    trials = run(replace(plan(own("ends")), timing=timing), manifest, beside, lambda event: None)
    (block,) = trials[0].blocks
    if state is None:
        assert block.consumed_bytes is None
    else:
        sizes = [path.stat().st_size for path in manifest.root.glob("train/*/*.jpg")]
        mean = sum(sizes) / len(sizes)
        assert block.consumed_bytes == round(block.images * mean)
