"""Colours of the data: safe for colour blindness, and strong enough on light and on dark."""

from __future__ import annotations

ACCENT = "#1f7fc1"  # what the chart is about: the winner, work
COST = "#d55e00"  # what is lost: the bottleneck, waits
GOOD = "#009e73"
OTHER = "#b8669a"
PLAIN = "#767e8a"
FAINT = "#a4abb5"
