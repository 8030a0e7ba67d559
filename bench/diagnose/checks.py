"""The checks of a self-test: known values beside what was measured."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Check(BaseModel):
    """One known value and its measurement."""

    model_config = ConfigDict(extra="forbid")

    name: str
    expected: str
    measured: str
    passed: bool


class SelfTest(BaseModel):
    """The checks of one self-test."""

    model_config = ConfigDict(extra="forbid")

    checks: list[Check]

    @property
    def passed(self) -> bool:
        """Whether all checks passed."""
        return all(check.passed for check in self.checks)
