"""A value with its 95 % interval: one type, and one way to print it."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, model_validator


class Estimate(BaseModel):
    """A median with the ends of its 95 % interval; records call the value `median`.

    `f"{estimate:,.0f}"` gives `1,234 [1,200, 1,260]`. A single measurement has no interval: all
    three are equal, and only the value is printed.

    Format history: tune.json (`ratio`), best.toml (`runners_up.ratio`) and training.json
    (`promise.predicted`, `promise.achieved`) used to hold a list `[median, low, high]`, which is
    still read.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", serialize_by_alias=True)

    value: float = Field(serialization_alias="median")
    low: float
    high: float

    @model_validator(mode="before")
    @classmethod
    def _from_record(cls, given: Any) -> Any:
        if isinstance(given, list | tuple) and len(given) == 3:
            return dict(zip(("value", "low", "high"), given, strict=True))
        if isinstance(given, dict) and "median" in given:
            return {"value" if name == "median" else name: part for name, part in given.items()}
        return given

    def contains(self, value: float) -> bool:
        """Whether the value lies within the interval, ends included."""
        return self.low <= value <= self.high

    def __format__(self, spec: str) -> str:
        if self.low == self.value == self.high:
            return format(self.value, spec)
        return f"{self.value:{spec}} [{self.low:{spec}}, {self.high:{spec}}]"


class Proportion(Estimate):
    """A proportion, a mean of proportions or a difference; records call the value `value`."""

    value: float
