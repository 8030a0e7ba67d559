"""Prints the result of a pixel check."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from rich.table import Table
from rich.text import Text

from feedbench.bench.pixels.result import LoaderPixels, PixelComparison
from feedbench.bench.plan.plan import Choice

_FIGURES = ("identical", "mean", "worst image", "largest")
_LISTED = 3  # images listed for each loader


def table(comparison: PixelComparison) -> Table:
    """Return a table with one row per loader; the first that did not fail is the reference."""
    table = Table(
        caption=f"{comparison.images:,} images; differences in levels of 0 to 255. same: no image "
        f"differs by more than {comparison.tolerance:g} on average.",
        caption_justify="left",
    )
    table.add_column("loader and settings", overflow="fold")
    rows = [
        _row(result, is_reference=name_of(result) == comparison.reference)
        for result in comparison.loaders
    ]
    titles = [*_FIGURES, "verdict", *(["reason"] if any(row[-1] for row in rows) else [])]
    for name in titles:
        table.add_column(name, justify="right" if name in _FIGURES else "left")
    for row in rows:
        table.add_row(*map(Text, row[: 1 + len(titles)]))
    return table


def name_of(result: LoaderPixels) -> str:
    """Return loader and settings as text."""
    return str(Choice(loader=result.loader, settings=result.settings))


def worst_images(comparison: PixelComparison) -> Iterator[str]:
    """Yield one line for each of the images that differ most."""
    for result in comparison.loaders:
        for image in result.worst[:_LISTED]:
            yield (
                f"{name_of(result)}: {image.path}: mean {image.mean:.2f}, largest {image.largest}: "
                f"{image.reason}"
            )


def verdict(comparison: PixelComparison) -> str:
    """Return one sentence that says which loaders give the pixels of the reference."""
    compared = [result for result in comparison.loaders if result.within is not None]
    unknown = [name_of(result) for result in comparison.loaders if result.within is None]
    note = f" Not compared: {'; '.join(unknown)}." if unknown else ""
    if len(compared) < 2 and unknown:
        return note.strip()
    others = [name_of(result) for result in compared if not result.within]
    if others:
        return f"Other pixels than {comparison.reference}: {'; '.join(others)}.{note}"
    all_ = "All loaders" if len(compared) == len(comparison.loaders) else "The others"
    return f"{all_} give the pixels of {comparison.reference}, within the tolerance.{note}"


def _row(result: LoaderPixels, *, is_reference: bool) -> list[str]:
    name = name_of(result)
    if result.error:
        outcome = "failed" if result.comparable else "not compared"
        return [name, "–", "–", "–", "–", outcome, result.error]
    if is_reference:
        return [name, "", "", "", "", "reference", ""]
    reasons = Counter(image.reason for image in result.worst)
    return [
        name,
        f"{result.identical:.1%}",
        f"{result.mean:.3f}",
        f"{result.worst_mean:.2f}",
        str(result.largest),
        "same" if result.within else "different",
        ", ".join(reason for reason, _ in reasons.most_common()),
    ]
