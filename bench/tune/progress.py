"""Shows a search while it runs: what is still in the race, the time left, and what was found."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from statistics import median

from rich.console import Console

from feedbench.bench.plan.plan import Choice
from feedbench.bench.record import Block, Trial
from feedbench.bench.report.live import Line, LiveArea, is_live
from feedbench.bench.report.live_bench import activity
from feedbench.bench.report.live_text import (
    CTRL_C,
    Row,
    busy_line,
    duration,
    frame,
    readings,
    sparkline,
    wait_shares,
)
from feedbench.bench.report.table import or_dash
from feedbench.bench.trials.events import TrialEvent
from feedbench.bench.tune.race import Finding, Standing
from feedbench.bench.tune.table import finding_line
from feedbench.bench.tune.tune import Budget, Callbacks

_TITLES = ("loader and settings", "images/s", "to the best [95 %]", "waits")
_LAST_FINDINGS = 3  # shown below the race


@contextmanager
def tune_progress(
    console: Console, budget: Budget, *, waits: bool = True
) -> Iterator[tuple[Callbacks, Callable[[str], None]]]:
    """Yield the callbacks that show a search, and one for what happens before it, as lines.

    Args:
        waits: whether waiting means something: a consumer that does nothing always waits.
    """
    display = TuneDisplay(budget, waits=waits)
    if not is_live(console):
        yield _plain(console, display)
        return
    with LiveArea(console, display.lines):
        yield Callbacks(display.update, display.find, display.stand), display.note


def _plain(console: Console, display: TuneDisplay) -> tuple[Callbacks, Callable[[str], None]]:
    """Return callbacks that print lines."""

    def print_line(text: str) -> None:
        console.print(text, soft_wrap=True)

    def print_event(event: TrialEvent) -> None:
        display.update(event)
        if text := display.event_line(event):
            print_line(text)

    def print_standing(standing: Standing) -> None:
        display.stand(standing)
        print_line(display.standing_line(standing))

    def print_finding(finding: Finding) -> None:
        print_line(finding_line(finding))

    return Callbacks(print_event, print_finding, print_standing), print_line


class TuneDisplay:
    """Takes what a search tells; returns what is known by then as a frame or as lines."""

    def __init__(self, budget: Budget, *, waits: bool) -> None:
        """Prepare the display."""
        import scipy.special  # noqa: F401  now, rather than while a block is timed

        self._budget, self._waits = budget, waits
        self._titles = _TITLES if waits else _TITLES[:-1]
        self._shown: list[Choice] = []  # the configurations of a race, in a stable order
        self._standing: Standing | None = None
        self._event: TrialEvent | None = None
        self._note = "starting"
        self._findings: tuple[Finding, ...] = ()
        self._blocks: dict[str, tuple[Block, ...]] = {}  # by the text of a choice
        self._trials: dict[int, Trial] = {}
        self._last_block: Block | None = None
        self._busy = ""  # what other programs use

    def update(self, event: TrialEvent) -> None:
        """Take in an event of a trial."""
        if event.kind == "block":
            self._last_block = event.trial.blocks[-1]
            name = str(event.choice)
            self._blocks[name] = (*self._blocks.get(name, ()), self._last_block)
            self._trials[event.index] = event.trial
            self._busy = busy_line([*self._trials.values()])
        self._event = event

    def find(self, finding: Finding) -> None:
        """Take in a result."""
        self._findings = (*self._findings, finding)

    def stand(self, standing: Standing) -> None:
        """Take in where the search stands; within a race, the rows keep their places."""
        is_same = self._standing is not None and self._standing.purpose == standing.purpose
        present, earlier = _present(standing), self._shown if is_same else []
        kept = [choice for choice in earlier if choice in present]
        self._shown = [*kept, *(choice for choice in present if choice not in kept)]
        self._standing = standing

    def note(self, text: str) -> None:
        """Take in what happens besides."""
        self._note = text

    def event_line(self, event: TrialEvent) -> str:
        """Return an event as a line; empty for one that a log does not need."""
        if event.kind in ("warming", "warm", "timing"):
            return ""
        text = activity(event)
        if event.kind == "block":
            rates = [block.images_per_second for block in self._blocks[str(event.choice)]]
            known = f"; so far {median(rates):,.0f}" if len(rates) > 1 else ""
            text = f"{event.choice}: {rates[-1]:,.0f} images/s{known}"
        return f"[{event.done}] {text}"

    def standing_line(self, standing: Standing) -> str:
        """Return where the search stands as a line."""
        return (
            f"comparing {standing.purpose}: {len(standing.running)} in the race, at most "
            f"{_rounds(standing.rounds_left)} left; {duration(self._budget.left_s())} of the "
            "budget left"
        )

    def lines(self, columns: int, height: int) -> list[Line]:
        """Return the frame for a terminal of this size."""
        spent, left = duration(self._budget.spent_s()), duration(self._budget.left_s())
        clock = f"{spent} so far · {left} of the budget left"
        standing, event = self._standing, self._event
        if standing is None or event is None:
            return [Line(clock, "bold"), Line(f"now   {self._note}"), Line(CTRL_C, "dim")]
        left_text = f"at most {_rounds(standing.rounds_left)} left"
        head = [
            Line(f"{clock} · {self._blocks_text()}", "bold"),
            Line(f"race  {standing.purpose}: {len(standing.running)} in it, {left_text}"),
            Line(f"now   {activity(event)}"),
            Line(f"next  {_next(standing)}", "dim"),
        ]
        rows = [self._row(choice, standing, event) for choice in self._shown]
        found = [Line(f"found {finding_line(one)}") for one in self._findings[-_LAST_FINDINGS:]]
        known = readings(self._last_block, self._busy, waits=self._waits)
        foot = [*found, *known, Line(CTRL_C, "dim")]
        return frame(head, self._titles, rows, foot, columns, height)

    def _blocks_text(self) -> str:
        count = sum(map(len, self._blocks.values()))
        return f"{count} block{'' if count == 1 else 's'}"

    def _row(self, choice: Choice, standing: Standing, event: TrialEvent) -> Row:
        blocks = self._blocks.get(str(choice), ())
        rate = f"{median(block.images_per_second for block in blocks):,.0f}" if blocks else "–"
        waits = sparkline(wait_shares(blocks[-1])) if blocks else ""
        name = f"{'▸' if choice == event.choice else ' '} {choice}"
        if choice == standing.best:
            return Row(name, self._cells(rate, "best so far", waits), "bold", rank=2)
        is_out = choice not in standing.running
        cells = self._cells(rate, _ratio_text(choice, standing), waits)
        return Row(name, cells, "dim" if is_out else "plain", rank=0 if is_out else 1)

    def _cells(self, *texts: str) -> tuple[str, ...]:
        """Return one text for each column but the first."""
        return texts[: len(self._titles) - 1]


def _present(standing: Standing) -> list[Choice]:
    """Return the configurations of a race: the best, those that are in it, those that are out."""
    out = [one.choice for one in standing.findings if one.choice not in standing.running]
    return [*standing.running, *out]


def _ratio_text(choice: Choice, standing: Standing) -> str:
    finding = next((one for one in standing.findings if one.choice == choice), None)
    if finding is None or finding.ratio is None:
        return ""
    ratio = or_dash(finding.ratio, ".2f").removesuffix(" [–]")
    if choice in standing.running:
        return ratio
    word = "looks faster" if finding.outcome == "faster" else finding.outcome  # until confirmed
    return f"{ratio} {word}"


def _next(standing: Standing) -> str:
    if standing.ahead:
        return ", ".join(standing.ahead)
    return "what is left to try; at the end the rate of the best alone"


def _rounds(count: int) -> str:
    return f"{count} round{'' if count == 1 else 's'}"
