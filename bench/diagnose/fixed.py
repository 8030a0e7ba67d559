"""Fixed settings of tf.data beside what AUTOTUNE reaches: paired blocks of the loader alone."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict

from feedbench.bench.analysis.estimate import Estimate
from feedbench.bench.analysis.stats import paired_ratio
from feedbench.bench.diagnose.derive import find_part, proven
from feedbench.bench.diagnose.record import Diagnosed
from feedbench.bench.plan.plan import Choice
from feedbench.loaders import find_loader, parse_settings


class Fixed(BaseModel):
    """The fastest of the fixed settings that were tried.

    Attributes:
        settings: of the loader, all that differ from its defaults.
        ratio: of its rate to that with AUTOTUNE, of paired blocks.
        tried: how many were measured.
    """

    model_config = ConfigDict(extra="forbid")

    settings: dict[str, Any]
    ratio: Estimate
    tried: int

    @property
    def faster(self) -> bool:
        """Whether the interval says so."""
        return self.ratio.low > 1


def fixed_choices(choice: Choice, cores: int) -> list[Choice]:
    """The choice with settings that fix what it leaves to AUTOTUNE, the alternatives in turn."""
    loader = find_loader(choice.loader)
    if loader.autotuning is None:
        return []
    settings = parse_settings(loader, choice.settings)
    return [
        choice.model_copy(update={"settings": {**choice.settings, **fixed}})
        for fixed in loader.autotuning.fixed(settings, cores)
    ]


def best_fixed(record: Diagnosed) -> Fixed | None:
    """The fastest by paired blocks; None where nothing was left to AUTOTUNE or measured."""
    tuned = find_part(record, "loader", "warm")
    if tuned is None:
        return None
    found: list[tuple[Estimate, dict[str, Any]]] = []
    for part in record.parts:
        if part.name == "fixed" and part.settings is not None:
            ratio = paired_ratio(proven(part).rates, proven(tuned).rates)
            if ratio is not None:
                found.append((ratio, part.settings))
    if not found:
        return None
    ratio, settings = max(found, key=lambda one: one[0].value)
    return Fixed(settings=settings, ratio=ratio, tried=len(found))


def words(fixed: Fixed) -> str:
    """What fixing would be worth, in one line."""
    ratio = fixed.ratio
    verdict = "" if fixed.faster or ratio.high < 1 else ", a tie"
    named = " ".join(f"{name}={value}" for name, value in fixed.settings.items())
    return (
        f"Fixed settings instead: {named} gave {ratio:.2f} of AUTOTUNE's "
        f"rate{verdict}, the best of {fixed.tried} tried."
    )
