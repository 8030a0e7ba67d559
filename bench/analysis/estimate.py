"""A value with its 95 % interval, if it has one, and its format in tables and texts."""

from __future__ import annotations

import math
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator


class Estimate(BaseModel):
    """A median with its 95 % interval; in records the value is called `median`.

    `f"{estimate:,.0f}"` gives `1,234 [1,200, 1,260]`. A value from too few blocks has no interval:
    `low` and `high` are None, and it is printed as `1,234 [–]`. An interval of width zero, as of a
    ratio of a trial to itself, is not printed.

    Format history: `ratio` in tune.json, `runners_up.ratio` in best.toml, and `promise.predicted`
    and `promise.achieved` in training.json were lists `[median, low, high]`. A single block had an
    interval of width zero. Both can still be read.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", serialize_by_alias=True)

    value: float = Field(serialization_alias="median")
    low: float | None = None
    high: float | None = None

    @model_validator(mode="before")
    @classmethod
    def _from_record(cls, data: Any) -> Any:
        if isinstance(data, list | tuple) and len(data) == 3:
            return _without_zero_width(dict(zip(("value", "low", "high"), data, strict=True)))
        if isinstance(data, dict) and "median" in data:
            renamed = {("value" if name == "median" else name): data[name] for name in data}
            return _without_zero_width(renamed)
        return data

    @model_validator(mode="after")
    def _has_both_ends_or_none(self) -> Self:
        if (self.low is None) != (self.high is None):
            raise ValueError("low and high: give both or neither")
        if not all(math.isfinite(end) for end in (self.value, *(self.interval or ()))):
            raise ValueError(f"must be finite, got {self:g}")
        return self

    @property
    def interval(self) -> tuple[float, float] | None:
        """The ends of the interval; None without one."""
        return None if self.low is None or self.high is None else (self.low, self.high)

    def contains(self, value: float) -> bool:
        """Whether the value lies within the interval, ends included; True without an interval."""
        return not self.lies_above(value) and not self.lies_below(value)

    def lies_above(self, value: float) -> bool:
        """Whether the whole interval is above the value; False without an interval."""
        return self.low is not None and self.low > value

    def lies_below(self, value: float) -> bool:
        """Whether the whole interval is below the value; False without an interval."""
        return self.high is not None and self.high < value

    def __format__(self, spec: str) -> str:
        if self.interval is None:
            return f"{self.value:{spec}} [–]"
        if self.low == self.value == self.high:
            return format(self.value, spec)
        return f"{self.value:{spec}} [{self.low:{spec}}, {self.high:{spec}}]"


def _positive(estimate: Estimate) -> Estimate:
    ends = (estimate.value, estimate.low, estimate.high)
    if any(end is not None and not 0 < end < math.inf for end in ends):
        raise ValueError(f"must be above 0, got {estimate:g}")
    return estimate


# A rate or a ratio: its logarithm must exist.
Positive = Annotated[Estimate, AfterValidator(_positive)]


def rate_text(rate: Estimate | float) -> str:
    """Return a rate in whole numbers; below 10 with three digits that count, such as `0.362`."""
    value = rate.value if isinstance(rate, Estimate) else rate
    return format(rate, rate_form(value))


def rate_form(value: float) -> str:
    """Return the format of a rate and its interval."""
    if not 0 < value < 10:
        return ",.0f"
    return f".{2 - math.floor(math.log10(value))}f"


def _without_zero_width(data: dict[str, Any]) -> dict[str, Any]:
    """Remove the interval of a single block from an old record."""
    if data.get("low") == data.get("high") == data["value"]:
        return {**data, "low": None, "high": None}
    return data


class Proportion(Estimate):
    """A proportion, a mean of proportions or their difference; in records, `value` is its name.

    Attributes:
        value: between 0 and 1, of a difference between −1 and 1.
    """

    value: float
    low: float
    high: float
