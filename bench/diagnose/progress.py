"""Shows a diagnosis while it runs: the rate of each part as it comes, and the time left."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console

from feedbench.bench.diagnose.ceilings import Ceiling, ceiling_of, ceilings
from feedbench.bench.diagnose.events import DiagnosisEvent, OnEvent
from feedbench.bench.diagnose.measure import LEAST_ROUNDS
from feedbench.bench.diagnose.pace import DiagnosisPace
from feedbench.bench.diagnose.record import Part
from feedbench.bench.diagnose.setup import DiagnosisTiming
from feedbench.bench.diagnose.table import label
from feedbench.bench.record import Block
from feedbench.bench.report.live import Line, LiveArea, Style, is_live
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

_TITLES = ("part alone", "images/s [95 %]", "cores", "waits")
_MAIN = ("end to end", "loader", "consumer")  # the parts that a line of a log names


@contextmanager
def diagnosis_progress(console: Console, timing: DiagnosisTiming) -> Iterator[OnEvent]:
    """Yield the callback that shows the events of a diagnosis."""
    display = DiagnosisDisplay(timing)
    if not is_live(console):
        yield lambda event: _print_event(console, display, event)
        return
    with LiveArea(console, display.lines):
        yield display.update


def _print_event(console: Console, display: DiagnosisDisplay, event: DiagnosisEvent) -> None:
    estimated, is_busy = display.estimate, bool(display.busy)
    display.update(event)
    estimate = "" if display.estimate == estimated else display.estimate
    busy = "" if is_busy else display.busy
    for text in filter(None, (estimate, display.log_line(event), busy)):
        console.print(text, style="dim", soft_wrap=True)


class DiagnosisDisplay:
    """Takes the events of a diagnosis; returns what is known by then as a frame or as a line.

    Attributes:
        estimate: how long the diagnosis takes: of the processes known at its first event, and once
            more when all are known; empty before.
        busy: what other programs use, by the complete rounds.
    """

    def __init__(self, timing: DiagnosisTiming) -> None:
        """Begin the diagnosis."""
        import scipy.special  # noqa: F401  now, rather than while a block is timed

        self._timing = timing
        self._pace = DiagnosisPace(timing)
        self.estimate = self.busy = ""
        self._more_may_come = False
        self._event: DiagnosisEvent | None = None
        self._ceilings: list[Ceiling] = []
        self._last_block: Block | None = None

    def update(self, event: DiagnosisEvent) -> None:
        """Record an event; the rates are derived again after each block."""
        self._pace.update(event)
        if not self.estimate or (self._more_may_come and not event.more_may_come):
            self.estimate = _estimate(self._timing, self._pace, event)
        self._more_may_come = event.more_may_come
        if event.kind in ("started", "timed", "failed"):
            self._ceilings = ceilings(event.record)
        if event.kind == "round":  # stages prepare their files outside of what they time
            self.busy = busy_line([one for one in event.record.parts if one.name in _MAIN])
        if event.kind == "timed" and event.part is not None:
            self._last_block = event.part.blocks[-1]
        self._event = event

    def log_line(self, event: DiagnosisEvent) -> str:
        """Return an event as a line; empty for one that a log does not need."""
        match event.kind:
            case "starting":
                return f"starting {self._process(event)}: {event.text}"
            case "round":
                return self._round_line(event)
            case "failed" | "note":
                return event.text
        return ""

    def _round_line(self, event: DiagnosisEvent) -> str:
        """Return what is known after a round."""
        rates = [
            f"{label(ceiling)} {_rate(ceiling)} images/s"
            for ceiling in self._ceilings
            if ceiling.name in _MAIN and ceiling.images_per_second
        ]
        left_s = self._pace.left_s(event)
        left = f"at most {duration(left_s)} left" if left_s else "done"
        number = f"round {(event.round or 0) + 1} of {_at_most(self._timing.rounds)}"
        return f"{number}: {'; '.join([*rates, left])}"

    def lines(self, columns: int, height: int) -> list[Line]:
        """Return the frame for a terminal of this size."""
        event = self._event
        if event is None:
            return [Line("starting")]
        head = [
            Line(self._stage(event), "bold"),
            Line(f"now   {_activity(event)}"),
            Line(f"next  {self._next(event)}", "dim"),
        ]
        rows = [_row(one, part, event) for one, part in self._by_importance(event)]
        known = [Line(self.estimate)]
        if self._last_block is not None:
            known = readings(self._last_block, self.busy)
        foot = [*known, Line(CTRL_C, "dim")]
        return frame(head, _TITLES, rows, foot, columns, height)

    def _by_importance(self, event: DiagnosisEvent) -> list[tuple[Ceiling, Part]]:
        """Return all parts, from end to end back to the files."""
        return [*zip(self._ceilings, event.record.parts, strict=False)][::-1]

    def _stage(self, event: DiagnosisEvent) -> str:
        spent = f"{duration(self._pace.spent_s())} so far"
        left = duration(self._pace.left_s(event))
        if event.round is None:
            about = "at least" if event.more_may_come else "about"
            return f"Process {self._process(event)} starts · {spent} · {about} {left} left"
        number = f"Round {event.round + 1} of {_at_most(self._timing.rounds)}"
        return f"{number} · {spent} · at most {left} left"

    def _process(self, event: DiagnosisEvent) -> str:
        least = "at least " if event.more_may_come else ""
        return f"{self._pace.process} of {least}{self._pace.processes}"

    def _next(self, event: DiagnosisEvent) -> str:
        if event.round is None:
            count = event.processes_left
            return f"{count} more to start" if count else "the first round: one block of each part"
        if event.next_part is not None:
            return _label(event.next_part)
        return "another round, if there is time for it; then the diagnosis"


def _estimate(timing: DiagnosisTiming, pace: DiagnosisPace, event: DiagnosisEvent) -> str:
    """Return how long a diagnosis takes by its plan, and what of."""
    least, most = map(duration, pace.planned_s(event))
    about = f"About {most} in all" if least == most else f"About {least} to {most} in all"
    processes = f"{pace.processes} processes start"
    if event.more_may_come:
        about = f"At least {least}"
        processes = f"{processes}, and one for each variant of your pipeline that is worth timing"
    rounds, limit = timing.rounds, f"--seconds {timing.budget_s:g}"
    count = f"{LEAST_ROUNDS} to {rounds}" if rounds > LEAST_ROUNDS else f"{rounds}"
    limited = f"limited by {limit}"
    if pace.planned_s(event)[0] > timing.budget_s:
        count = f"{min(LEAST_ROUNDS, rounds)}"
        limited = f"the fewest there can be, which take longer than {limit}"
    return (
        f"{about}: {processes}, then {count} rounds of about "
        f"{duration(pace.round_s(event))}, {limited}."
    )


def _at_most(rounds: int) -> str:
    return str(rounds) if rounds <= LEAST_ROUNDS else f"at most {rounds}"


def _activity(event: DiagnosisEvent) -> str:
    if event.part is not None:
        return f"timing {_label(event.part)}"
    starting = "starting: " if event.kind == "starting" else ""
    return f"{starting}{event.text}" if event.text else "the round is complete"


def _row(ceiling: Ceiling, part: Part, event: DiagnosisEvent) -> Row:
    is_active = event.part is not None and _label(event.part) == label(ceiling)
    name = f"{'▸' if is_active else ' '} {label(ceiling)}"
    if ceiling.images_per_second is None:
        return Row(name, ("failed" if ceiling.error else "–", "", ""), "dim", rank=-1)
    cores = f"{ceiling.cores:.1f}" if ceiling.cores else ""
    feeds = part.name in ("end to end", "rewritten")
    waits = sparkline(wait_shares(part.blocks[-1])) if feeds else ""
    style: Style = "bold" if part.name == "end to end" else "plain"
    return Row(name, (_rate(ceiling), cores, waits), style)


def _rate(ceiling: Ceiling) -> str:
    rate = ceiling.images_per_second
    if rate is None:
        return "–"
    return f"{rate.value:,.0f}" if rate.interval is None else f"{rate:,.0f}"


def _label(part: Part) -> str:
    return label(ceiling_of(part))
