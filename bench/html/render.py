"""The parts of a page as one HTML file that holds everything it needs."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Sequence
from importlib.metadata import version
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from feedbench.bench.html import script, theme
from feedbench.bench.html.cells import shown
from feedbench.bench.html.library import chart_library
from feedbench.bench.html.parts import Chart, Part, Report
from feedbench.bench.html.several import entries, overview
from feedbench.bench.report.terminal import harmless

if TYPE_CHECKING:
    from jinja2 import Environment

_ASSETS = Path(__file__).parent / "assets"
_SCRIPTS = ("page.js", "tables.js", "zoom.js")


# Where a sentence ends; and behind which signs of a name a line may break.
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=[A-Z])")
_NAME_BREAK = re.compile(r"(?<=[/_:=])(?=\S)|(?<=[.,])(?=[^\s\d])")
_OPTION = re.compile(r"(?<=\s)--\S+")
_TIMES = re.compile(r"× (?=\d)")


def render(reports: Sequence[Report]) -> str:
    """Return a page with the verdicts of all reports at the top.

    Every text of the parts is escaped; control characters are shown as `�`.

    Raises:
        ImportError: a package of the extra `report` is not installed.
    """
    several = len(reports) > 1
    texts = ["\n".join(map(_asset, _SCRIPTS)), chart_library(), _asset("charts.js")]
    scripts = [script.code(text) for text in texts]
    page = _environment().get_template("page.html")
    return page.render(
        title=f"{len(reports)} results" if several else reports[0].title,
        entries=entries(reports),
        overview=overview(reports) if several else None,
        level="h3" if several else "h2",
        generator=f"Feedbench {version('feedbench')}",
        policy=script.policy(scripts),
        style=_safe(theme.style_rules() + "\n" + _asset("page.css")),
        scripts=[_safe(text) for text in scripts],
        chart_config=_safe(script.data(theme.VEGA_CONFIG)),
    )


def _environment() -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(_ASSETS),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_printable,
    )
    numbers = count()
    environment.globals["new_id"] = lambda: f"id-{next(numbers)}"
    environment.filters |= {
        "breakable": _breakable,
        "command": _command,
        "first_sentence": _first_sentence,
        "template": _template,
        "shown": shown,
        "chart_data": _chart_data,
        "base64": lambda png: b64encode(png).decode(),
    }
    return environment


def _printable(value: Any) -> Any:
    """Replace what HTML cannot hold, such as the bytes of a name that is not UTF-8.

    A line never ends between the sign of a ratio and its number.
    """
    if type(value) is not str:
        return value
    return _TIMES.sub("×\N{NO-BREAK SPACE}", harmless(value.expandtabs(4)))


def _first_sentence(text: str) -> tuple[str, str]:
    """Return what is printed large, and the rest."""
    first, *rest = _SENTENCE_END.split(text, maxsplit=1)
    return first, "".join(rest)


def _breakable(name: str) -> Any:
    """Return a name that may wrap behind the signs that join its parts, and nowhere else."""
    return _safe("<wbr>").join(_NAME_BREAK.split(_printable(name)))


def _command(text: str) -> Any:
    """Return commands, or a text with some, whose options are not broken at their hyphens."""
    from markupsafe import escape

    escaped = str(escape(_printable(text)))
    return _safe(_OPTION.sub(r'<span class="option">\g<0></span>', escaped))


def _template(part: Part) -> str:
    return f"parts/{type(part).__name__.lower()}.html"


def _chart_data(chart: Chart) -> Any:
    return _safe(script.data({"height": chart.height, **chart.spec}))


def _safe(text: str) -> Any:
    """Mark text that needs no escaping."""
    from markupsafe import Markup

    return Markup(text)


def _asset(name: str) -> str:
    return (_ASSETS / name).read_text(encoding="utf-8")
