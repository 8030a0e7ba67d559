"""Shows a diagnosis while it runs: the rate of each part as it comes, and the time left."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic

from rich.console import Console

from feedbench.bench.diagnose.ceilings import Ceiling, ceiling_of, ceilings
from feedbench.bench.diagnose.events import DiagnosisEvent, OnEvent
from feedbench.bench.diagnose.measure import LEAST_ROUNDS
from feedbench.bench.diagnose.record import Part
from feedbench.bench.diagnose.setup import DiagnosisTiming
from feedbench.bench.diagnose.table import label
from feedbench.bench.record import Block
from feedbench.bench.report.live import Line, LiveArea, is_live
from feedbench.bench.report.live_text import (
    CTRL_C,
    Row,
    duration,
    frame,
    meters_text,
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
    display.update(event)
    if text := display.round_line(event) if event.kind == "round" else event.line:
        console.print(text, style="dim", soft_wrap=True)


class DiagnosisDisplay:
    """Takes the events of a diagnosis; returns what is known by then as a frame or as a line."""

    def __init__(self, timing: DiagnosisTiming) -> None:
        """Begin the diagnosis."""
        import scipy.special  # noqa: F401  now, rather than while a block is timed

        self._timing = timing
        self._begin = self._round_began = monotonic()
        self._round_s = 0.0  # of the slowest round
        self._event: DiagnosisEvent | None = None
        self._ceilings: list[Ceiling] = []
        self._last_block: Block | None = None

    def update(self, event: DiagnosisEvent) -> None:
        """Record an event; the rates are derived again after each block."""
        now = monotonic()
        if event.round is None:
            self._round_began = now
        if event.kind == "round":
            self._round_s = max(self._round_s, now - self._round_began)
            self._round_began = now
        if event.kind in ("started", "timed", "failed"):
            self._ceilings = ceilings(event.record)
        if event.kind == "timed" and event.part is not None:
            self._last_block = event.part.blocks[-1]
        self._event = event

    def round_line(self, event: DiagnosisEvent) -> str:
        """Return what is known after a round."""
        rates = [
            f"{label(ceiling)} {_rate(ceiling)} images/s"
            for ceiling in self._ceilings
            if ceiling.name in _MAIN and ceiling.images_per_second
        ]
        left_s = self._left_s(event)
        left = f"at most {duration(left_s)} left" if left_s else "done"
        return f"round {(event.round or 0) + 1}: {'; '.join([*rates, left])}"

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
        meters = (
            [] if self._last_block is None else [Line(f"last  {meters_text(self._last_block)}")]
        )
        return frame(head, _TITLES, rows, [*meters, Line(CTRL_C, "dim")], columns, height)

    def _by_importance(self, event: DiagnosisEvent) -> list[tuple[Ceiling, Part]]:
        """Return all parts, from end to end back to the files, those without a block last."""
        pairs = [*zip(self._ceilings, event.record.parts, strict=False)]
        pairs.reverse()
        return sorted(pairs, key=lambda pair: pair[0].images_per_second is None)

    def _stage(self, event: DiagnosisEvent) -> str:
        spent = f"{duration(monotonic() - self._begin)} so far"
        if event.round is None:
            return f"Starting processes · {spent}"
        left = f"at most {duration(self._left_s(event))} left"
        return f"Round {event.round + 1} of at most {self._timing.rounds} · {spent} · {left}"

    def _left_s(self, event: DiagnosisEvent) -> float:
        """Return how long the rounds that the time budget allows still take."""
        done = event.round or 0 if event.kind != "round" else (event.round or 0) + 1
        now = monotonic()
        round_s = self._round_s or self._planned_round_s(event)
        elapsed_s = min(now - self._round_began, round_s)
        rounds_s = (self._timing.rounds - done) * round_s - elapsed_s
        least_s = max(0, LEAST_ROUNDS - done) * round_s - elapsed_s
        budget_s = self._timing.budget_s - (now - self._begin)
        return max(0.0, min(rounds_s, max(least_s, budget_s)))

    def _planned_round_s(self, event: DiagnosisEvent) -> float:
        timing = self._timing
        seconds = {"end to end": timing.end_to_end_s, "rewritten": timing.end_to_end_s}
        own_process = ("loader", "fixed", "reference", "transfer", "consumer")
        seconds |= dict.fromkeys(own_process, timing.block_s)
        return sum(seconds.get(part.name, timing.stage_s) for part in event.record.parts)

    def _next(self, event: DiagnosisEvent) -> str:
        if event.round is None:
            count = event.processes_left
            return f"{count} more to start" if count else "the first round: one block of each part"
        if event.next_part is not None:
            return _label(event.next_part)
        return "another round, if there is time for it; then the diagnosis"


def _activity(event: DiagnosisEvent) -> str:
    if event.part is not None:
        return f"timing {_label(event.part)}"
    return event.line or event.text or "the round is complete"


def _row(ceiling: Ceiling, part: Part, event: DiagnosisEvent) -> Row:
    is_active = event.part is not None and _label(event.part) == label(ceiling)
    name = f"{'▸' if is_active else ' '} {label(ceiling)}"
    if ceiling.images_per_second is None:
        return Row(name, ("failed" if ceiling.error else "–", "", ""), "dim")
    cores = f"{ceiling.cores:.1f}" if ceiling.cores else ""
    feeds = part.name in ("end to end", "rewritten")
    waits = sparkline(wait_shares(part.blocks[-1])) if feeds else ""
    return Row(
        name,
        (_rate(ceiling), cores, waits),
        "bold" if part.name == "end to end" else "plain",
    )


def _rate(ceiling: Ceiling) -> str:
    rate = ceiling.images_per_second
    if rate is None:
        return "–"
    return f"{rate.value:,.0f}" if rate.interval is None else f"{rate:,.0f}"


def _label(part: Part) -> str:
    return label(ceiling_of(part))
