"""Data-loading benchmarks for people who train image models from scratch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from feedbench.bench.monitor.callback import FitMonitor

__all__ = ["FitMonitor"]


def __getattr__(name: str) -> Any:
    """Import Keras only for those who ask for what needs it."""
    if name == "FitMonitor":
        from feedbench.bench.monitor.callback import FitMonitor

        return FitMonitor
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
