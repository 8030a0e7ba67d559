"""What a bench shows while it runs: the rates so far, what is ahead, and what happens next."""

from __future__ import annotations

from feedbench.bench.analysis.summary import TrialSummary, summarize
from feedbench.bench.plan.plan import Plan, Timing
from feedbench.bench.record import Block, Trial
from feedbench.bench.report.course import stop_text
from feedbench.bench.report.live import Line, Style
from feedbench.bench.report.live_text import (
    CTRL_C,
    Apart,
    Row,
    busy_line,
    duration,
    frame,
    readings,
    sparkline,
    wait_shares,
)
from feedbench.bench.report.pace import Pace
from feedbench.bench.report.table import COSTS_NOTHING
from feedbench.bench.trials.early_stop import blocks_alone
from feedbench.bench.trials.events import TrialEvent
from feedbench.bench.trials.internal_loaders import is_choice
from feedbench.bench.trials.order import order_of_round
from feedbench.loaders import BASELINE

_TITLES = ("loader and settings", "images/s [95 %]", "to the fastest", "waits")
AHEAD = "fastest so far"
_MUCH_LONGER = 1.5  # blocks than planned, from which on that is said: a convention
_WHOLE_S = 10.0  # from which on seconds are whole: 0.16 s are not 0 s
_ACTIVITIES = {
    "starting": "starting",
    "warming": "warming up",
    "warm": "warmed up",
    "timing": "timing",
    "block": "timed",
    "stopped": "stopped",
    "failed": "failed:",
}


class BenchDisplay:
    """Takes the events of a bench; returns what is known by then as a frame or as sentences."""

    def __init__(self, plan: Plan, *, confirms: bool) -> None:
        """Prepare the display.

        Args:
            confirms: whether the winner is timed once more after the last round.
        """
        import scipy.special  # noqa: F401  now, rather than while a block is timed

        self._plan = plan
        self._confirms = confirms
        self._waits = plan.consumer != "drain"  # which does nothing but wait
        self._titles = _TITLES if self._waits else _TITLES[:-1]
        self._pace = Pace(plan.timing, len(plan.choices), confirms=confirms)
        self._trials: dict[int, Trial] = {}
        self._summaries: dict[int, TrialSummary] = {}
        self._complete = 0  # rounds in which every trial was timed that has not failed
        self._standings: dict[int, TrialSummary] = {}  # from these rounds alone
        self._slow = ""  # how blocks differ from the plan, by the first complete round
        self._busy = ""  # what other programs use, by the complete rounds
        self._event: TrialEvent | None = None
        self._last_block: Block | None = None

    def update(self, event: TrialEvent) -> None:
        """Record an event; the figures are derived again after each block."""
        self._pace.update(event)
        self._trials[event.index] = event.trial
        if event.kind in ("block", "failed"):
            self._summaries = _summaries(self._trials)
            self._compare()
        if event.kind == "block":
            self._last_block = event.trial.blocks[-1]
        self._event = event

    def _compare(self) -> None:
        """Compare the trials after each complete round; within one, some have a block more."""
        running = [one for one in self._trials.values() if not (one.error or one.stopped)]
        complete = min((len(one.blocks) for one in running), default=self._complete)
        if len(self._trials) < len(self._plan.choices) or complete == self._complete:
            return
        if not self._complete:
            self._slow = _slow_text(self._plan.timing, self._pace)
        self._complete = complete
        self._standings = _summaries(
            {index: _until(trial, complete) for index, trial in self._trials.items()}
        )
        self._busy = busy_line([*self._trials.values()])

    def warnings(self) -> list[str]:
        """Return that blocks are longer than planned, and that other programs use the cores."""
        return [*filter(None, (self._slow, self._busy))]

    def count(self, event: TrialEvent) -> str:
        """Return how many blocks are done, of all that are planned by now."""
        total = event.blocks or 0
        if self._confirms and event.trial.chosen_before is None:
            timing, stopped = self._plan.timing, event.trial.stopped
            ended = stopped is not None and stopped.slower_than is None  # the whole bench
            total += blocks_alone(timing, stopped.rounds if stopped and ended else timing.blocks)
        return f"[{event.done}/{total}]"

    def so_far(self, event: TrialEvent) -> str:
        """Return what is known of a trial by several blocks, and the time that is left."""
        texts, summary = [], self._summaries[event.index]
        if summary.blocks > 1:
            texts.append(f"so far {rate_text(summary)}")
        if standing := self._standing(event.index):
            ratio, _, word = standing.partition(" ")
            of_fastest = f"{ratio} of the fastest{', ' * bool(word)}{word}"
            texts.append(standing if standing == AHEAD else of_fastest)
        left = self._left_text(event)
        return "; ".join([*texts, left or "done"])

    def lines(self, columns: int, height: int) -> list[Line]:
        """Return the frame for a terminal of this size."""
        event = self._event
        if event is None:
            return [Line("starting")]
        indices = range(len(self._plan.choices))
        readers = [index for index in indices if self._reads_images(index)]
        rows = [self._row(index, event.index) for index in readers]
        others = [self._row(index, event.index) for index in indices if index not in readers]
        apart = Apart(self._apart_title(), others) if others else None
        head, foot = self._head(event), self._foot()
        return frame(head, self._titles, rows, foot, columns, height, apart)

    def _head(self, event: TrialEvent) -> list[Line]:
        timing, chosen = self._plan.timing, event.trial.chosen_before
        most = "at most " if event.trial.judged_after else ""
        stage = f"Round {event.round + 1} of {most}{timing.blocks}"
        if chosen is not None:
            alone = blocks_alone(timing, chosen)
            stage = f"The winner alone, block {event.round + 1 - chosen} of {alone}"
        left = self._left_text(event) or "nearly done"
        return [
            Line(f"{stage} · {duration(self._pace.spent_s())} so far · {left}", "bold"),
            Line(f"now   {activity(event)}"),
            Line(f"next  {self._next(event)}", "dim"),
        ]

    def _left_text(self, event: TrialEvent) -> str:
        """Return the time that is left, at most if the run may end early; empty if it is over."""
        left_s, trial = self._pace.left_s(), event.trial
        may_end = trial.judged_after and trial.stopped is None and trial.chosen_before is None
        return f"{'at most' if may_end else 'about'} {duration(left_s)} left" if left_s else ""

    def _next(self, event: TrialEvent) -> str:
        """Return what follows the block that is timed now or next."""
        plan, blocks, chosen = self._plan, self._plan.timing.blocks, event.trial.chosen_before
        if chosen is not None:
            last = chosen + blocks_alone(plan.timing, chosen) - 1
            return "one more block" if event.round < last else "the result"
        order = order_of_round(plan, event.round)
        later = order[order.index(event.index) + 1 :]
        if event.round + 1 < blocks:
            later += order_of_round(plan, event.round + 1)
        for index in later:
            if (trial := self._trials.get(index)) is None or not (trial.error or trial.stopped):
                return str(plan.choices[index])
        return "the winner alone" if self._confirms else "the result"

    def _row(self, index: int, active: int) -> Row:
        summary = self._summaries.get(index)
        name = f"{'▸' if index == active else ' '} {self._plan.choices[index]}"
        if summary is None:
            return Row(name, self._cells("–"), "dim")
        if summary.error is not None:
            return Row(name, self._cells("failed"), "red", rank=-1.0)
        standing, rate = self._standing(index), summary.images_per_second
        style: Style = "bold" if standing == AHEAD else "plain"
        cells = self._cells(rate_text(summary), standing, self._wait_cell(index, summary))
        return Row(name, cells, style, rank=rate.value if rate else 0.0)

    def _reads_images(self, index: int) -> bool:
        return is_choice(self._plan.choices[index].loader)

    def _apart_title(self) -> str:
        has_baseline = any(choice.loader == BASELINE for choice in self._plan.choices)
        return COSTS_NOTHING if has_baseline else "limits of this machine"

    def _cells(self, *texts: str) -> tuple[str, ...]:
        """Return one text for each column but the first."""
        return (*texts, "", "")[: len(self._titles) - 1]

    def _wait_cell(self, index: int, summary: TrialSummary) -> str:
        blocks = self._trials[index].blocks
        waits = sparkline(wait_shares(blocks[-1])) if blocks else ""
        return "" if summary.wait_share is None else f"{waits} {summary.wait_share:4.0%}"

    def _standing(self, index: int) -> str:
        summary = self._standings.get(index)
        return "" if summary is None else standing_text(summary)

    def _foot(self) -> list[Line]:
        known = readings(self._last_block, self._busy, waits=self._waits)
        slow = [Line(self._slow, "dim")] if self._slow else []
        return [*known, *slow, Line(CTRL_C, "dim")]


def _slow_text(timing: Timing, pace: Pace) -> str:
    """Return how much longer than planned blocks take, and so the run; empty if they do not."""
    block_s = pace.block_s()
    if block_s < _MUCH_LONGER * timing.block_seconds:
        return ""
    takes = duration(block_s) if block_s >= _WHOLE_S else f"{block_s:.2g} s"
    return (
        f"A block takes {takes} instead of {timing.block_seconds:g} s, with its "
        f"{timing.block_steps} steps: up to {duration(pace.spent_s() + pace.left_s())} in all"
    )


def rate_text(summary: TrialSummary) -> str:
    """Return the rate of a trial, with its interval from enough blocks on."""
    rate = summary.images_per_second
    if rate is None:
        return "–"
    return f"{rate.value:,.0f}" if rate.interval is None else f"{rate:,.0f}"


def _summaries(trials: dict[int, Trial]) -> dict[int, TrialSummary]:
    indices = sorted(trials)
    summary = summarize([trials[index] for index in indices])
    return dict(zip(indices, summary.trials, strict=True))


def _until(trial: Trial, rounds: int) -> Trial:
    """Return the trial with the blocks of its first rounds."""
    return trial.model_copy(update={"blocks": trial.blocks[:rounds]})


def standing_text(summary: TrialSummary) -> str:
    """Return how a trial compares with the fastest so far; empty if nothing is known."""
    ratio = summary.ratio_to_best
    if ratio is None or not is_choice(summary.loader):
        return ""
    if summary.ranked and ratio.value == ratio.low == ratio.high == 1:
        return AHEAD
    if not summary.ranked or ratio.interval is None:
        return f"{ratio.value:.2f}"
    if summary.undecided:
        return f"{ratio.value:.2f} cannot tell"
    return f"{ratio.value:.2f} {'tie' if summary.tied_with_best else 'slower'}"


def activity(event: TrialEvent) -> str:
    """Return what is happening to a trial, with the images of a warm-up that fills a cache."""
    fills_cache = event.kind == "warming" and event.images < event.images_needed
    images = f" ({event.images:,} of {event.images_needed:,} images)" if fills_cache else ""
    stopped = event.trial.stopped if event.kind == "stopped" else None
    why = "" if stopped is None else f": {stop_text(stopped)}"
    return f"{_ACTIVITIES[event.kind]} {event.choice}{images}{why}"
