"""What a rate was measured on."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import psutil

from feedbench.bench.errors import PlanError
from feedbench.bench.meters.gpu import find_gpus, gpu_name
from feedbench.bench.meters.process import available_memory
from feedbench.bench.record import Conditions
from feedbench.loaders import Manifest
from feedbench.loaders.cores import usable_cores

_PACKAGES = (
    "feedbench",
    "tensorflow",
    "keras",
    "pillow",
    "opencv-python-headless",
    "simplejpeg",
    "numpy",
    "pyarrow",
    "nvidia-ml-py",
)


def environment() -> dict[str, Any]:
    """Processor, memory, GPUs and versions; without names of hosts or users."""
    return {
        "processor": _processor(),
        "cores": usable_cores(),
        "memory_bytes": psutil.virtual_memory().total,
        "available_memory_bytes": available_memory(),
        "gpus": [gpu_name(handle) for _, handle in find_gpus()],
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "keras_backend": os.environ.get("KERAS_BACKEND", "tensorflow"),
        "packages": {name: _version(name) for name in _PACKAGES},
    }


def machine(facts: dict[str, Any]) -> dict[str, Any]:
    """The facts that must be equal for one machine's rate to hold on another."""
    return {name: facts[name] for name in ("processor", "cores", "gpus")}


def conditions(manifest: Manifest) -> Conditions:
    """What must be the same where blocks of two runs on these rows are pooled."""
    facts = environment()
    return Conditions(
        rows=manifest.fingerprint(sizes=True),
        machine=machine(facts),
        versions={"python": facts["python"], **facts["packages"]},
    )


def restrict_cores(count: int) -> None:
    """Let this process, and all that it starts, run on so many processors.

    Raises:
        PlanError: there are not so many, or the system has no such call.
    """
    if not hasattr(os, "sched_setaffinity"):
        raise PlanError("--max-cores: this system cannot restrict a process to some processors")
    usable = sorted(os.sched_getaffinity(0))
    if count > len(usable):
        raise PlanError(f"--max-cores {count}: this process may use {len(usable)}")
    os.sched_setaffinity(0, usable[:count])


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
