"""Fixed settings of tf.data, compared with AUTOTUNE in paired blocks of the loader alone."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict

from feedbench.bench.analysis.estimate import Estimate
from feedbench.bench.analysis.stats import paired_ratio
from feedbench.bench.diagnose.ceilings import find_part, with_proven_blocks
from feedbench.bench.diagnose.record import DiagnosisRecord
from feedbench.bench.plan.plan import Choice
from feedbench.loaders import find_loader, parse_settings


class FixedSettings(BaseModel):
    """The fastest of the fixed settings that were measured.

    Attributes:
        settings: of the loader, without its defaults.
        ratio: its rate divided by the rate with AUTOTUNE, from paired blocks.
        tried: number of fixed settings that were measured.
    """

    model_config = ConfigDict(extra="forbid")

    settings: dict[str, Any]
    ratio: Estimate
    tried: int

    @property
    def faster(self) -> bool:
        """Whether it is surely faster than AUTOTUNE."""
        return self.ratio.lies_above(1)

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
    if autotuned is None:
        return None
    autotuned_rates = with_proven_blocks(autotuned).rates
    candidates: list[tuple[Estimate, dict[str, Any]]] = []
    for part in record.parts:
        if part.name == "fixed" and part.settings is not None:
            ratio = paired_ratio(with_proven_blocks(part).rates, autotuned_rates)
            if ratio is not None:
                candidates.append((ratio, part.settings))
    if not candidates:
        return None
    ratio, settings = max(candidates, key=lambda candidate: candidate[0].value)
    return FixedSettings(settings=settings, ratio=ratio, tried=len(candidates))


def comparison_text(fixed: FixedSettings) -> str:
    """Return one sentence that compares the best fixed settings with AUTOTUNE."""
    tie = " (a tie)" if fixed.ratio.contains(1) else ""
    return (
        f"Fixed settings: {fixed}, the best of {fixed.tried} measured, reached "
        f"{fixed.ratio:.2f} of the rate with AUTOTUNE{tie}."
    )
