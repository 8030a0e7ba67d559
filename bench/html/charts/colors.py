"""Colours of the data, as the page names them: safe for colour blindness, on light and on dark."""

from __future__ import annotations

ACCENT = "var(--accent)"  # what the chart is about: the winner, work
COST = "var(--cost)"  # what is lost: the bottleneck, waits
GOOD = "var(--good)"
OTHER = "var(--other)"
PLAIN = "var(--plain)"
FAINT = "var(--faint)"
ON_ACCENT = "var(--on-accent)"  # text on a mark of the colour ACCENT
PAPER = "var(--paper)"  # behind everything
