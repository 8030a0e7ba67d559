"""What a live display takes from a core while blocks are timed; the limit is 1 %."""

import os
import pty
from pathlib import Path
from time import process_time

import pytest

from feedbench.bench.plan.plan import Choice, Failures, PixelCheck, Plan, Timing
from feedbench.bench.report.live import PERIOD_S, LiveArea
from feedbench.bench.report.live_bench import BenchDisplay
from feedbench.bench.report.terminal import Terminal
from feedbench.bench.trials.events import TrialEvent
from feedbench.bench.trials_file import read_trials
from feedbench.loaders import BatchSpec
from feedbench.trainer import Recipe

RECORD = Path(__file__).parents[2] / "results" / "clothing-cpu"
TRIALS, FRAMES = 20, 100


@pytest.fixture
def display() -> BenchDisplay:
    """A display of 20 trials with seven blocks each."""
    (recorded,) = [trial for trial in read_trials(RECORD) if trial.loader == "keras_directory"]
    choices = [Choice(loader="turbo", settings={"prefetch": number}) for number in range(TRIALS)]
    timing = Timing(blocks=len(recorded.blocks))
    plan = Plan(tuple(choices), BatchSpec(), Recipe(), "drain", timing, Failures(), PixelCheck())
    display = BenchDisplay(plan, confirms=True)
    for index, choice in enumerate(choices):
        trial = recorded.model_copy(update={"loader": "turbo", "settings": choice.settings})
        display.update(TrialEvent("block", choice, index, TRIALS, index, trial))
    return display


def test_the_frames_of_a_second(benchmark, display):
    """CPU seconds of all frames of a second, none of which is left out as equal to the last."""
    reading, writing = pty.openpty()
    with os.fdopen(writing, "w") as file:
        area = LiveArea(Terminal(file=file), display.lines)

        def frames() -> float:
            begin = process_time()
            for _ in range(FRAMES):
                area._shown = []
                area._paint()
                os.read(reading, 1 << 16)
            return (process_time() - begin) / FRAMES / PERIOD_S

        share = benchmark.pedantic(frames, rounds=1, iterations=1)
    os.close(reading)
    benchmark.extra_info["share_of_a_core"] = share
    if benchmark.enabled:  # among other tests, on any machine, it is only run
        assert share < 0.01
