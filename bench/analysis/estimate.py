"""A value with its 95 % interval, and its format in tables and texts."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, model_validator


class Estimate(BaseModel):
    """A median with its 95 % interval; in records the value is called `median`.

    `f"{estimate:,.0f}"` gives `1,234 [1,200, 1,260]`. An interval of width zero is not printed.

    Format history: `ratio` in tune.json, `runners_up.ratio` in best.toml, and `promise.predicted`
    and `promise.achieved` in training.json were lists `[median, low, high]`, which can still be
    read.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", serialize_by_alias=True)

    value: float = Field(serialization_alias="median")
    low: float
    high: float

    @model_validator(mode="before")
    @classmethod
    def _from_record(cls, data: Any) -> Any:
        if isinstance(data, list | tuple) and len(data) == 3:
            return dict(zip(("value", "low", "high"), data, strict=True))
        if isinstance(data, dict) and "median" in data:
            return {"value" if name == "median" else name: part for name, part in data.items()}
        return data

    def contains(self, value: float) -> bool:
        """Whether the value lies within the interval, which includes its ends."""
        return self.low <= value <= self.high

    def __format__(self, spec: str) -> str:
        if self.low == self.value == self.high:
            return format(self.value, spec)
        return f"{self.value:{spec}} [{self.low:{spec}}, {self.high:{spec}}]"


class Proportion(Estimate):
    """A proportion, a mean of proportions or their difference; in records, `value` is its name."""

    value: float
