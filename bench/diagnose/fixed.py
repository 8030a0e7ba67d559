"""Fixed settings of tf.data beside what AUTOTUNE reaches: paired blocks of the loader alone."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict

from feedbench.bench.analysis.estimate import Estimate
from feedbench.bench.analysis.stats import paired_ratio
from feedbench.bench.diagnose.derive import find_part, proven
from feedbench.bench.diagnose.record import Diagnosed
from feedbench.bench.plan.plan import Choice
from feedbench.loaders.tf_data import TfData

_PREFETCH = 2  # batches
_CALLS_A_CORE = (1, 2)


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
    """Settings that fix what this choice leaves to AUTOTUNE; none for any other loader."""
    if choice.loader != "tf_data":
        return []
    now = TfData.model_validate(choice.settings)
    made: list[Choice] = []
    for calls in _CALLS_A_CORE:
        values = {"num_parallel_calls": calls * cores, "prefetch": _PREFETCH}
        fixed = {name: value for name, value in values.items() if getattr(now, name) == "autotune"}
        other = choice.model_copy(update={"settings": {**choice.settings, **fixed}})
        if fixed and other not in made:
            made.append(other)
    return made


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
