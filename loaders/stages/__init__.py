"""The parts of a loader that a diagnosis measures alone."""

from feedbench.loaders.stages.stage import (
    IN_LINE,
    Concurrency,
    Kind,
    Reading,
    Run,
    Service,
    ServicePart,
    Stage,
    Stages,
    Timed,
    on_processes,
    on_threads,
    repeated,
    whole_files,
)

__all__ = [
    "IN_LINE",
    "Concurrency",
    "Kind",
    "Reading",
    "Run",
    "Service",
    "ServicePart",
    "Stage",
    "Stages",
    "Timed",
    "on_processes",
    "on_threads",
    "repeated",
    "whole_files",
]
