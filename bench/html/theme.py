"""Colours and fonts of a page, light and dark, and how charts look.

Charts name their colours by CSS variables (`charts/colors.py`), which the page resolves: so they
follow a switch between light and dark without being drawn again, and print in light colours.
"""

from __future__ import annotations

from typing import Any

from feedbench.bench.html.charts.colors import ACCENT, COST, FAINT, GOOD, OTHER, PLAIN

FONT = 'system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif'

LIGHT = {
    "paper": "#ffffff",
    "surface": "#f6f7f9",
    "line": "#e1e5ea",
    "text": "#171b21",
    "muted": "#59636f",
    "accent": "#0b64c4",
    "accent-soft": "#e8f1fc",
    "on-accent": "#ffffff",
    "cost": "#c8500a",
    "cost-soft": "#fdf0e7",
    "good": "#00805f",
    "other": "#a9508c",
    "plain": "#6b7480",
    "faint": "#98a1ac",
    "shade": "rgb(23 27 33 / 0.16)",
}

DARK = {
    "paper": "#101317",
    "surface": "#191d23",
    "line": "#2c333c",
    "text": "#e7eaee",
    "muted": "#a0a9b5",
    "accent": "#6fb1ff",
    "accent-soft": "#14283f",
    "on-accent": "#08131f",
    "cost": "#ff9a56",
    "cost-soft": "#37230f",
    "good": "#3fc79a",
    "other": "#e08cc4",
    "plain": "#98a2af",
    "faint": "#6d7784",
    "shade": "rgb(255 255 255 / 0.14)",
}

# Every text that Vega measures needs a real font: it cannot resolve variables of CSS.
VEGA_CONFIG: dict[str, Any] = {
    "background": "transparent",
    "font": FONT,
    "padding": 2,
    "aria": False,  # the page describes the whole chart, and has its figures as a table
    "view": {"stroke": None},
    "axis": {
        "domainColor": "var(--line)",
        "gridColor": "var(--line)",
        "tickColor": "var(--line)",
        "labelColor": "var(--muted)",
        "titleColor": "var(--muted)",
        "labelFontSize": 12,
        "titleFontSize": 12,
        "titleFontWeight": 400,
        "labelPadding": 6,
        "titlePadding": 10,
        "labelLimit": 220,
    },
    "legend": {
        "labelColor": "var(--text)",
        "titleColor": "var(--muted)",
        "labelFontSize": 12,
        "titleFontSize": 12,
        "titleFontWeight": 400,
        "orient": "top",
    },
    "header": {"labelColor": "var(--text)", "titleColor": "var(--muted)", "labelFontSize": 12},
    "title": {"color": "var(--text)", "fontSize": 13, "fontWeight": 600, "anchor": "start"},
    "text": {"color": "var(--text)", "fontSize": 13},
    "mark": {"color": ACCENT},
    "line": {"strokeWidth": 2},
    "rule": {"color": "var(--muted)"},
    "range": {"category": [ACCENT, COST, GOOD, OTHER, PLAIN, FAINT]},
}


def style_rules() -> str:
    """Return the CSS variables: light, dark by the system's setting or a switch, light on paper."""
    light, dark = _rule(LIGHT, "light"), _rule(DARK, "dark")
    return "\n".join(
        [
            f":root {light}",
            f"@media (prefers-color-scheme: dark) {{ :root {dark} }}",
            f':root[data-theme="light"] {light}',
            f':root[data-theme="dark"] {dark}',
            f"@media print {{ :root, :root[data-theme] {light} }}",
        ]
    )


def _rule(colors: dict[str, str], scheme: str) -> str:
    variables = "".join(f"--{name}: {color}; " for name, color in colors.items())
    return f"{{ color-scheme: {scheme}; {variables}}}"
