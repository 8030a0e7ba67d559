"""The machine and the library versions that a rate was measured with."""

from __future__ import annotations

import json
import os
import platform
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import psutil

from feedbench.bench.errors import PlanError
from feedbench.bench.files import CREATED, utc_now
from feedbench.bench.meters.gpu import gpu_name, training_gpus
from feedbench.bench.quantities import quantity
from feedbench.bench.record import Conditions
from feedbench.loaders import Manifest, available_memory, usable_cores

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
# Of other libraries that are measured too: only those that are installed are named.
_OPTIONAL = (
    "jax",
    "torch",
    "webdataset",
    "datasets",
    "nvidia-dali-cuda120",
    "grain",
    "spdl",
    "ffcv",
)


def environment() -> dict[str, Any]:
    """Return the time, the machine and the versions, without host or user names."""
    return {
        CREATED: utc_now(),
        "processor": _processor(),
        "cores": usable_cores(),
        "memory_bytes": psutil.virtual_memory().total,
        "available_memory_bytes": available_memory(),
        "gpus": [gpu_name(handle) for _, handle in training_gpus()],
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "keras_backend": _keras_backend(),
        "packages": _versions(),
    }


def _keras_backend() -> str:
    """Return the backend that Keras takes: of the environment, or of its configuration file."""
    if name := os.environ.get("KERAS_BACKEND"):
        return name
    folder = Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras")
    try:
        return str(json.loads((folder / "keras.json").read_bytes())["backend"])
    except (OSError, ValueError, TypeError, LookupError):
        return "tensorflow"


def began_at(record: Path) -> datetime | None:
    """Return when a run began or a result was made, in UTC.

    A run has its environment beside its record, a training in it, and a result of one file says it
    by itself. None: records of older versions do not say it.
    """
    files = [record.with_name("environment.json"), *([record] if record.suffix == ".json" else [])]
    return next(filter(None, map(_created_in, files)), None)


def written_at(record: Path) -> datetime:
    """Return when a file was written, in UTC: no earlier than the run, but a copy is younger."""
    return datetime.fromtimestamp(record.stat().st_mtime, UTC)


def _created_in(file: Path) -> datetime | None:
    try:
        facts = json.loads(file.read_bytes())
        created = datetime.fromisoformat((facts | facts.get("environment", {}))[CREATED])
    except (OSError, ValueError, TypeError, LookupError, AttributeError, RecursionError):
        return None
    return created.astimezone(UTC) if created.tzinfo else None


def machine(facts: dict[str, Any]) -> dict[str, Any]:
    """Return the part of `environment` that must be equal for a rate to apply on a machine."""
    return {name: facts[name] for name in ("processor", "cores", "gpus")}


def conditions(manifest: Manifest) -> Conditions:
    """Return the conditions of a run on these rows; only equal conditions can be compared."""
    facts = environment()
    return Conditions(
        rows=manifest.fingerprint(sizes=True),
        machine=machine(facts),
        versions={"python": facts["python"], **facts["packages"]},
    )


def restrict_cores(count: int) -> None:
    """Restrict this process and its future children to `count` CPU cores.

    Raises:
        PlanError: fewer cores are available, or the system does not support it.
    """
    if not hasattr(os, "sched_setaffinity"):
        raise PlanError("--max-cores: this system cannot restrict a process to some cores")
    usable = sorted(os.sched_getaffinity(0))
    if count > len(usable):
        raise PlanError(
            f"--max-cores {count}: this process may use only {quantity(len(usable), 'core')}; give "
            "fewer"
        )
    os.sched_setaffinity(0, usable[:count])


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _versions() -> dict[str, str | None]:
    optional = {name: _version(name) for name in _OPTIONAL}
    installed = {name: found for name, found in optional.items() if found}
    return {name: _version(name) for name in _PACKAGES} | installed


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
