"""A pixel check, as people see it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from rich.table import Table
from rich.text import Text

from feedbench.bench.pixels.compare import LoaderPixels, Pixels
from feedbench.bench.plan.plan import Choice

_SHOWN = 3  # worst images that are named for each loader


def table(found: Pixels) -> Table:
    """One row a loader; the first is what the others are held against."""
    made = Table(
        caption=f"{found.images:,} images; differences in levels of 0 to 255. same: no image "
        f"differs by more than {found.tolerance:g} on average.",
        caption_justify="left",
    )
    made.add_column("loader and settings", overflow="fold")
    for name in ("identical", "mean", "worst image", "largest", "reason", ""):
        made.add_column(name, justify="right")
    for one in found.loaders:
        made.add_row(*map(Text, _row(one, is_reference=name_of(one) == found.reference)))
    return made


def name_of(one: LoaderPixels) -> str:
    """Loader and settings."""
    return str(Choice(loader=one.loader, settings=one.settings))


def worst_images(found: Pixels) -> Iterator[str]:
    """The worst of each loader, a line each."""
    for one in found.loaders:
        for image in one.worst[:_SHOWN]:
            yield (
                f"{name_of(one)}: {image.path}: mean {image.mean:.2f}, largest {image.largest}: "
                f"{image.reason}"
            )


def verdict(found: Pixels) -> str:
    """Which of them may be compared for speed."""
    others = [name_of(one) for one in found.loaders if not one.within]
    if not others:
        return f"All give the pixels of {found.reference}, within the tolerance."
    return f"Other pixels than {found.reference}: {'; '.join(others)}."


def _row(one: LoaderPixels, *, is_reference: bool) -> list[str]:
    if one.error:
        return [name_of(one), "–", "–", "–", "–", one.error, "failed"]
    if is_reference:
        return [name_of(one), "", "", "", "", "", "reference"]
    reasons = Counter(image.reason for image in one.worst)
    return [
        name_of(one),
        f"{one.identical:.1%}",
        f"{one.mean:.3f}",
        f"{one.worst_mean:.2f}",
        str(one.largest),
        ", ".join(name for name, _ in reasons.most_common()),
        "same" if one.within else "different",
    ]
