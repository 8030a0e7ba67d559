"""What a pixel check prints."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator

from feedbench.bench.pixels.result import LoaderPixels, PixelComparison
from feedbench.bench.plan.plan import Choice
from feedbench.bench.quantities import quantity
from feedbench.bench.report.document import ALWAYS, Column, Line, Part, TableData, only_csv, words

_LISTED = 3  # images listed for each loader


def parts(comparison: PixelComparison) -> Iterator[Part]:
    """Yield what is printed: the table, the worst images, and the verdict."""
    yield table(comparison)
    for text in filter(None, (one.traceback for one in comparison.loaders)):
        yield Line(text, form="code")
    yield from map(Line, worst_images(comparison))
    yield Line(verdict(comparison), "bold")


def table(comparison: PixelComparison) -> TableData[LoaderPixels]:
    """Return one row per loader; the first that did not fail is the reference."""

    def is_compared(row: LoaderPixels) -> bool:
        return not row.error and name_of(row) != comparison.reference

    def figure(
        title: str,
        name: str,
        value: Callable[[LoaderPixels], float],
        text: str,
        importance: int = ALWAYS,
    ) -> Column[LoaderPixels]:
        def compared(row: LoaderPixels) -> float | None:
            return value(row) if is_compared(row) else None

        return Column(title, name, compared, text, importance)

    def outcome(row: LoaderPixels) -> str:
        return _outcome(row, is_reference=not is_compared(row))

    return TableData(
        name="loaders",
        columns=[
            words("loader and settings", "loader", lambda row: row.loader, text=name_of),
            only_csv("settings", lambda row: name_of(row).removeprefix(row.loader).strip()),
            figure("identical", "identical_images", lambda row: row.identical, "{:.1%}"),
            figure("mean", "mean_levels", lambda row: row.mean, "{:.3f}", 2),
            figure("worst\nimage", "worst_image_levels", lambda row: row.worst_mean, "{:.2f}"),
            figure("largest", "largest_levels", lambda row: row.largest, "{}", 3),
            words("verdict", "verdict", outcome),
            words("reason", "reason", lambda row: _reason(row, is_compared(row)), importance=1),
        ],
        rows=comparison.loaders,
        legend=f"{quantity(comparison.images, 'image')}; differences in levels of 0 to 255. same: "
        f"no image differs by more than {comparison.tolerance:g} on average.",
    )


def _outcome(row: LoaderPixels, *, is_reference: bool) -> str:
    if row.error:
        return "failed" if row.comparable else "not compared"
    if is_reference:
        return "reference"
    return "same" if row.within else "different"


def _reason(row: LoaderPixels, is_compared: bool) -> str:
    """Return why a loader failed, or why its images differ, the most frequent reason first."""
    reasons = Counter(image.reason for image in row.worst if is_compared)
    return row.error or ", ".join(reason for reason, _ in reasons.most_common())


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
