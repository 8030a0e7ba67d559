"""Fixed settings of tf.data, compared with AUTOTUNE in paired blocks of the loader alone."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict

from feedbench.bench.analysis.compare import Comparison, compare_with_reference
from feedbench.bench.analysis.estimate import Estimate
from feedbench.bench.diagnose.ceilings import find_part, with_proven_blocks
from feedbench.bench.diagnose.record import DiagnosisRecord
from feedbench.bench.plan.plan import Choice
from feedbench.loaders import find_loader, parse_settings

_AUTOTUNED = -1  # among the indices of the fixed settings


class FixedSettings(BaseModel):
    """The fastest of the fixed settings that were measured.

    Attributes:
        settings: of the loader, without its defaults.
        ratio: its rate divided by the rate with AUTOTUNE, from paired blocks.
        tried: number of fixed settings that were measured.
        faster: whether it is certainly faster than AUTOTUNE, given the number tried.
    """

    model_config = ConfigDict(extra="forbid")

    settings: dict[str, Any]
    ratio: Estimate
    tried: int
    faster: bool

    def __str__(self) -> str:
        return settings_text(self.settings)


def settings_text(settings: dict[str, Any]) -> str:
    """Return settings as `name=value name=value`."""
    return " ".join(f"{name}={value}" for name, value in settings.items())


def fixed_choices(choice: Choice, cores: int) -> list[Choice]:
    """Return choices in which fixed values replace what `choice` leaves to AUTOTUNE."""
    loader = find_loader(choice.loader)
    if loader.autotuning is None:
        return []
    settings = parse_settings(loader, choice.settings)
    return [
        choice.model_copy(update={"settings": {**choice.settings, **fixed}})
        for fixed in loader.autotuning.fixed(settings, cores)
    ]


def best_fixed(record: DiagnosisRecord) -> FixedSettings | None:
    """Return the fastest fixed settings; None if none were measured."""
    autotuned = find_part(record, "loader", "warm")
    tried = [part for part in record.parts if part.name == "fixed" and part.settings is not None]
    if autotuned is None or not tried:
        return None
    rates = {index: with_proven_blocks(part).rates for index, part in enumerate(tried)}
    rates[_AUTOTUNED] = with_proven_blocks(autotuned).rates
    comparisons = compare_with_reference(rates, _AUTOTUNED)
    compared = {index: one for index, one in comparisons.items() if one.ratio is not None}
    if not compared:
        return None
    best = max(compared, key=lambda index: _ratio(compared[index]))
    return FixedSettings(
        settings=tried[best].settings,
        ratio=compared[best].ratio,
        tried=len(compared),
        faster=compared[best].outcome == "faster",
    )


def _ratio(comparison: Comparison) -> float:
    return comparison.ratio.value if comparison.ratio else 0.0


def comparison_text(fixed: FixedSettings) -> str:
    """Return one sentence that compares the best fixed settings with AUTOTUNE."""
    tie = "" if fixed.faster or fixed.ratio.lies_below(1) else " (a tie)"
    return (
        f"Fixed settings: {fixed}, the best of {fixed.tried} measured, reached "
        f"{fixed.ratio:.2f} of the rate with AUTOTUNE{tie}."
    )
