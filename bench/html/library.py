"""The JavaScript of the charts: Vega-Lite, from the package vl-convert-python."""

from __future__ import annotations

from contextlib import suppress
from importlib.metadata import version

from feedbench.bench.errors import BenchError
from feedbench.bench.files import write_text
from feedbench.loaders import cache_folder


def chart_library() -> str:
    """Return Vega-Embed with all it needs as one script, which defines `vegaEmbed`.

    The package builds it from its modules, which takes seconds; so it is cached.

    Raises:
        PackageNotFoundError: vl-convert-python is not installed.
    """
    file = cache_folder() / "charts" / f"vl-convert-{version('vl-convert-python')}.js"
    with suppress(OSError, UnicodeError):
        return file.read_text(encoding="utf-8")
    text = _built()
    with suppress(OSError, BenchError):  # without a cache it is built each time
        file.parent.mkdir(parents=True, exist_ok=True)
        write_text(file, text)
    return text


def _built() -> str:
    from vl_convert import javascript_bundle

    return javascript_bundle("window.vegaEmbed = vegaEmbed;")
