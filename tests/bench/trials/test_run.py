"""A trial that crashes, hangs or runs out of memory is recorded, and the others continue."""

import os
import signal
import time
from dataclasses import replace

import psutil
import pytest

from feedbench.bench.analysis.summary import summarize
from feedbench.bench.errors import RecordError, TrialError
from feedbench.bench.plan.plan import Choice, Failures, PixelCheck, Plan, Timing
from feedbench.bench.record import Stopped, Trial
from feedbench.bench.trials.bench import MANIFEST, Bench, DeadlinePassed
from feedbench.bench.trials.child import Child
from feedbench.bench.trials.early_stop import EarlyStop, Judgement
from feedbench.bench.trials.events import TrialEvent
from feedbench.bench.trials.processes import Processes
from feedbench.bench.trials.run import run
from feedbench.bench.trials_file import read_trials
from feedbench.loaders import BatchSpec, Manifest, scan
from feedbench.trainer import Recipe

SYNTHETIC = Choice(loader="synthetic")
FLOATS = Choice(loader="synthetic", settings={"output": "float32"})


def plan(*choices: Choice, blocks: int = 2, time_limit: float = 120, **spec) -> Plan:
    timing = Timing(blocks=blocks, block_seconds=0.1, warm_up_seconds=0.1, time_limit=time_limit)
    spec = BatchSpec(**{"batch_size": 8, "image_size": 16, **spec})
    return Plan(choices, spec, Recipe(), "drain", timing, Failures(), PixelCheck())


@pytest.fixture(scope="module")
def manifest(tiny_photos) -> Manifest:
    return scan(tiny_photos).only("train")


def becomes_stopped(process: psutil.Process) -> bool:
    """Whether a process is stopped soon, since a signal takes a moment to arrive."""
    deadline = time.monotonic() + 60
    while process.status() != psutil.STATUS_STOPPED and time.monotonic() < deadline:
        time.sleep(0.01)
    return process.status() == psutil.STATUS_STOPPED


def run_plan(
    plan: Plan, manifest, folder, on_event=lambda event: None, choose=None, early_stop=None
) -> list[Trial]:
    pids = set()

    def record_pid(event: TrialEvent) -> None:
        if event.pid:
            pids.add(event.pid)
        on_event(event)

    trials = run(plan, manifest, folder, record_pid, early_stop=early_stop, choose=choose)
    assert not any(psutil.pid_exists(pid) for pid in pids)
    assert read_trials(folder) == trials
    return trials


def test_blocks_interleave_and_processes_are_stopped_between_them(manifest, tmp_path):
    timed, stopped = [], []

    def observe(event: TrialEvent) -> None:
        if event.kind == "block":
            timed.append(str(event.choice))
            stopped.append(becomes_stopped(psutil.Process(event.pid)))

    choices = (SYNTHETIC, Choice(loader="synthetic", settings={"output": "float32"}))
    trials = run_plan(plan(*choices, blocks=4), manifest, tmp_path, observe)
    assert [len(trial.blocks) for trial in trials] == [4, 4]
    rounds = [set(timed[start : start + 2]) for start in range(0, 8, 2)]
    assert all(len(names) == 2 for names in rounds)
    assert stopped == [True] * 8
    assert all(trial.warm_ups[0].images >= 8 for trial in trials)
    assert {trial.warm_ups[0].requested_s for trial in trials} == {0.1}


def test_each_block_may_have_a_process_of_its_own(manifest, tmp_path):
    blocks = []
    one = plan(SYNTHETIC, FLOATS)
    fresh = replace(one, timing=one.timing.model_copy(update={"fresh_processes": True}))

    def observe(event: TrialEvent) -> None:
        if event.kind == "block":
            blocks.append(event.pid)

    trials = run_plan(fresh, manifest, tmp_path, observe)
    assert len(set(blocks)) == len(blocks) == 4
    assert [len(trial.warm_ups) for trial in trials] == [2, 2]


def test_the_trial_that_is_chosen_is_timed_again_alone(manifest, tmp_path):
    seen, events = [], []

    def choose(trials: list[Trial]) -> int:
        seen.extend(len(trial.blocks) for trial in trials)
        return 1

    choices = (SYNTHETIC, Choice(loader="synthetic", settings={"output": "float32"}))
    trials = run_plan(plan(*choices), manifest, tmp_path, events.append, choose)
    assert seen == [2, 2]
    assert [len(trial.blocks) for trial in trials] == [2, 4]
    assert [trial.chosen_before for trial in trials] == [None, 2]
    assert [block.round for block in trials[1].blocks] == [0, 1, 2, 3]
    assert len(trials[1].warm_ups) == 1
    assert (events[-1].done, events[-1].blocks) == (6, 6)


def judging(answers: dict[int, Judgement]) -> EarlyStop:
    """Judge a run after these numbers of rounds."""

    def judge(trials: list[Trial]) -> Judgement:
        return answers[max(len(trial.blocks) for trial in trials)]

    return EarlyStop((*answers, 6), judge)


def test_a_slower_trial_is_stopped_and_the_run_ends_when_it_is_decided(manifest, tmp_path):
    events = []
    choices = (SYNTHETIC, FLOATS)
    early_stop = judging({1: Judgement({1: 0}, False), 2: Judgement({}, True)})
    trials = run_plan(
        plan(*choices, blocks=6), manifest, tmp_path, events.append, lambda trials: 0, early_stop
    )
    first, second = trials
    assert [len(trial.blocks) for trial in trials] == [2 + 6, 1]
    assert first.stopped == Stopped(rounds=2)
    assert second.stopped == Stopped(rounds=1, slower_than="synthetic")
    assert first.judged_after == second.judged_after == [1, 2, 6]
    assert first.rounds == second.rounds == 6
    assert (first.chosen_before, len(first.warm_ups)) == (2, 1)
    assert [event.index for event in events if event.kind == "stopped"] == [1, 0]
    assert (events[-1].done, events[-1].blocks) == (9, 9)


def test_a_trial_that_was_stopped_goes_on_if_the_faster_one_fails(manifest, tmp_path):
    def kill(event: TrialEvent) -> None:
        if event.kind == "stopped":
            os.kill(pids[0], signal.SIGKILL)
        pids[event.index] = event.pid or pids.get(event.index)

    pids = {}
    early_stop = judging({1: Judgement({1: 0}, False)})
    killed, slower = run_plan(
        plan(SYNTHETIC, FLOATS, blocks=3), manifest, tmp_path, kill, early_stop=early_stop
    )
    assert "SIGKILL" in killed.error
    assert slower.stopped is None
    assert len(slower.blocks) >= 2


def test_processes_start_side_by_side_and_warm_up_one_by_one(manifest, tmp_path, monkeypatch):
    monkeypatch.setattr("feedbench.bench.trials.processes.usable_cores", lambda: 2)
    others = [FLOATS, Choice(loader="turbo")]
    moving, events, pids = [], [], set()

    def observe(event: TrialEvent) -> None:
        events.append(event.kind)
        pids.add(event.pid)
        if event.kind in ("warm", "block"):
            others = [psutil.Process(pid) for pid in pids - {event.pid}]
            moving.extend(one for one in others if one.status() != psutil.STATUS_STOPPED)

    trials = run_plan(plan(SYNTHETIC, *others), manifest, tmp_path, observe)
    assert [trial.error for trial in trials] == [None] * 3
    assert events[:3] == ["starting"] * 3
    assert [trial.warm_ups[0].beside for trial in trials] == [1, 1, 1]
    assert moving == []


def test_the_first_of_large_trainers_starts_alone(manifest, tmp_path, monkeypatch):
    monkeypatch.setattr("feedbench.bench.trials.processes.usable_cores", lambda: 2)
    monkeypatch.setattr("feedbench.bench.trials.bench.may_be_large", lambda plan: True)
    ask, known = Processes.may_start_beside, []

    def may_start_beside(processes, peak_bytes):
        known.append(peak_bytes)
        return ask(processes, peak_bytes)

    monkeypatch.setattr(Processes, "may_start_beside", may_start_beside)
    trials = run_plan(plan(SYNTHETIC, FLOATS, Choice(loader="turbo")), manifest, tmp_path)
    assert sorted(trial.warm_ups[0].beside for trial in trials) == [0, 1, 1]
    assert known[0] == 0
    assert min(known[1:]) > 10**7  # as measured of the first


def test_a_warm_up_that_reports_its_progress_comes_to_an_end(manifest, tmp_path):
    events = []
    longer = Timing(blocks=1, block_seconds=0.1, warm_up_seconds=1.2)
    (trial,) = run_plan(replace(plan(SYNTHETIC), timing=longer), manifest, tmp_path, events.append)
    assert "warming" in [event.kind for event in events]
    assert (trial.error, len(trial.blocks)) == (None, 1)


def test_a_process_that_fails_as_it_starts_does_not_keep_others_from_starting(manifest, tmp_path):
    def kill(event: TrialEvent) -> None:
        if event.kind == "starting" and event.choice == SYNTHETIC:
            os.kill(event.pid, signal.SIGKILL)

    killed, fine = run_plan(plan(SYNTHETIC, FLOATS), manifest, tmp_path, kill)
    assert "SIGKILL" in killed.error
    assert len(fine.blocks) == 2


def test_a_killed_trial_is_recorded_and_the_others_continue(manifest, tmp_path):
    def kill(event: TrialEvent) -> None:
        if event.kind == "block" and event.choice == SYNTHETIC:
            os.kill(event.pid, signal.SIGKILL)

    other = Choice(loader="synthetic", settings={"output": "float32"})
    killed, fine = run_plan(plan(SYNTHETIC, other), manifest, tmp_path, kill)
    assert "SIGKILL" in killed.error
    assert len(killed.blocks) == 1
    assert len(fine.blocks) == 2
    assert summarize([killed, fine]).trials[0].images_per_second is not None


def test_a_record_that_cannot_be_written_leaves_no_process(manifest, tmp_path):
    folder, pids = tmp_path / "out", set()
    folder.mkdir()

    def take_away(event: TrialEvent) -> None:
        pids.update(filter(None, [event.pid]))
        if event.kind == "block":
            folder.rename(tmp_path / "elsewhere")
            folder.write_text("a file in its place")

    with pytest.raises(RecordError, match=r"trials\.jsonl"):
        run(plan(SYNTHETIC), manifest, folder, take_away)
    assert pids
    assert not any(map(psutil.pid_exists, pids))


def test_the_start_of_a_process_is_timed_whatever_the_clock_says(manifest, tmp_path, monkeypatch):
    """A clock that is set back meanwhile: time servers do that, and virtual machines."""
    (tmp_path / "sitecustomize.py").write_text("import time\ntime.time = lambda: 0.0\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    (trial,) = run_plan(plan(SYNTHETIC), manifest, tmp_path)
    assert 0 < trial.warm_ups[0].start_s < 600


def test_a_trial_that_hangs_is_ended_at_its_time_limit(manifest, tmp_path):
    def hang(event: TrialEvent) -> None:
        if event.kind == "starting":
            os.kill(event.pid, signal.SIGSTOP)

    (trial,) = run_plan(plan(SYNTHETIC, time_limit=2), manifest, tmp_path, hang)
    assert trial.error.startswith("time limit: warm-up did not finish within 2 s")


def test_the_time_limit_is_one_of_each_block_and_not_of_their_sum(manifest, tmp_path, monkeypatch):
    limits = []
    ask = Child.ask

    def record_limit(child, request, kind, limit_s, *others):
        limits.append(limit_s)
        return ask(child, request, kind, limit_s, *others)

    monkeypatch.setattr(Child, "ask", record_limit)
    run_plan(plan(SYNTHETIC, blocks=3, time_limit=60), manifest, tmp_path)
    assert limits == [60, 60, 60]


def test_a_warm_up_that_is_not_over_by_the_deadline_is_no_failure(manifest, tmp_path):
    endless = replace(plan(), timing=Timing(warm_up_seconds=10_000))
    manifest.write(tmp_path / MANIFEST)
    bench = Bench(endless, manifest, tmp_path, lambda event: None)
    index = bench.add(SYNTHETIC)
    bench.deadline = time.monotonic() + 1
    try:
        with pytest.raises(DeadlinePassed):
            bench.time_block(index, 0)
    finally:
        bench.close()
    assert (bench.trials[index].error, bench.trials[index].blocks) == (None, [])


def test_no_process_goes_on_starting_after_the_deadline(manifest, tmp_path, monkeypatch):
    monkeypatch.setattr("feedbench.bench.trials.processes.usable_cores", lambda: 2)
    manifest.write(tmp_path / MANIFEST)
    events = []

    def halt(event):  # so that no first step is done before the deadline is looked at
        events.append(event)
        os.kill(event.pid, signal.SIGSTOP)

    bench = Bench(plan(SYNTHETIC, FLOATS), manifest, tmp_path, halt)
    bench.deadline = time.monotonic()
    with pytest.raises(DeadlinePassed):
        bench.start_together([0, 1])
    assert len(events) == 2
    assert not psutil.pid_exists(events[1].pid)
    bench.close()
    assert not any(psutil.pid_exists(event.pid) for event in events)
    assert [trial.error for trial in bench.trials] == [None, None]


def test_a_block_has_as_many_steps_as_the_plan_asks_for(manifest, tmp_path):
    timing = Timing(blocks=1, block_seconds=0.001, block_steps=30, warm_up_seconds=0.1)
    (trial,) = run_plan(replace(plan(SYNTHETIC), timing=timing), manifest, tmp_path)
    assert len(trial.blocks[0].step_s) >= 30


def test_a_trial_that_needs_too_much_memory_is_recorded_as_out_of_memory(manifest, tmp_path):
    huge = plan(SYNTHETIC, batch_size=100_000, image_size=10_000)
    (trial,) = run_plan(huge, manifest, tmp_path)
    assert trial.error.startswith("out of memory")


def test_an_unreadable_image_is_named_in_the_record(tiny_photos, tmp_path):
    source = tmp_path / "photos" / "one"
    source.mkdir(parents=True)
    (source / "broken.jpg").write_bytes(b"not a photograph")
    choices = (Choice(loader="keras_pil"), Choice(loader="tf_data"))
    (tmp_path / "out").mkdir()
    trials = run_plan(plan(*choices), scan(tmp_path / "photos").only("train"), tmp_path / "out")
    assert all(str(source / "broken.jpg") in trial.error for trial in trials)
    assert summarize(trials).winner is None


def test_a_cache_is_full_before_the_first_block(manifest, tmp_path):
    cached = Choice(loader="tf_data", settings={"cache": "decoded"})
    (trial,) = run_plan(plan(cached), manifest, tmp_path)
    assert trial.error is None
    assert trial.warm_ups[0].images >= len(manifest) + 2 * 8


def test_a_process_is_ended_when_memory_is_short_and_warms_up_again(
    manifest, tmp_path, monkeypatch
):
    monkeypatch.setattr("feedbench.bench.trials.processes.available_memory", lambda: 0)
    other = Choice(loader="synthetic", settings={"output": "float32"})
    trials = run_plan(plan(SYNTHETIC, other, blocks=3), manifest, tmp_path)
    assert [(trial.error, len(trial.blocks)) for trial in trials] == [(None, 3)] * 2
    assert sum(len(trial.warm_ups) for trial in trials) > 2


def test_a_trial_that_runs_out_of_memory_has_a_second_try_alone(manifest, tmp_path, monkeypatch):
    ask, alive, tries = Child.ask, [], []

    def refuse_once(child, *arguments):
        tries.append([psutil.pid_exists(pid) for pid in alive])
        alive.append(child.pid)
        if len(tries) == 2:
            child.kill()
            raise TrialError("ResourceExhaustedError: CUDA_ERROR_OUT_OF_MEMORY")
        return ask(child, *arguments)

    monkeypatch.setattr(Child, "ask", refuse_once)
    other = Choice(loader="synthetic", settings={"output": "float32"})
    trials = run_plan(plan(SYNTHETIC, other, blocks=1), manifest, tmp_path)
    assert [(trial.error, len(trial.blocks)) for trial in trials] == [(None, 1), (None, 1)]
    assert tries == [[], [True], [False, False]]


def test_a_trial_that_runs_out_of_memory_alone_is_recorded(manifest, tmp_path, monkeypatch):
    def refuse(child, *arguments):
        child.kill()
        raise TrialError("out of memory: 1 TB")

    monkeypatch.setattr(Child, "ask", refuse)
    (trial,) = run_plan(plan(SYNTHETIC), manifest, tmp_path)
    assert (trial.error, trial.blocks) == ("out of memory: 1 TB", [])


def test_a_process_is_ended_when_the_gpu_has_no_room_for_another(manifest, tmp_path, monkeypatch):
    """Each trial holds 40 of 100 bytes, as measured from before its start to after its warm-up."""
    held = set()

    class OnGpu(Child):
        def __init__(self, *arguments, **options):
            super().__init__(*arguments, **options)
            held.add(self.pid)

        def kill(self):
            held.discard(self.pid)
            super().kill()

    monkeypatch.setattr("feedbench.bench.trials.timer.Child", OnGpu)
    monkeypatch.setattr(
        "feedbench.bench.trials.processes.free_gpu_memory", lambda gpus: 100 - 40 * len(held)
    )
    beside = []

    def observe(event: TrialEvent) -> None:
        if event.kind == "block":
            beside.append(len(held))

    other = Choice(loader="synthetic", settings={"output": "float32"})
    trials = run_plan(
        plan(SYNTHETIC, other, Choice(loader="turbo"), blocks=1), manifest, tmp_path, observe
    )
    assert [len(trial.blocks) for trial in trials] == [1, 1, 1]
    assert beside == [1, 2, 2]  # room for a second, with some to spare, but not for a third


def test_a_second_ctrl_c_while_processes_end_loses_no_block(manifest, tmp_path, monkeypatch):
    left, close = [], Bench.close

    def interrupted(bench):
        left.append(bench)
        raise KeyboardInterrupt

    monkeypatch.setattr("feedbench.bench.trials.run.Bench.close", interrupted)

    def interrupt(event):
        if event.kind == "block":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(plan(SYNTHETIC), manifest, tmp_path, interrupt)
    (trial,) = read_trials(tmp_path)
    assert len(trial.blocks) == 1
    close(left[0])  # or its process would stand until those of all tests end
