"""Runs a pixel check in a process of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from feedbench.bench.errors import TrialError
from feedbench.bench.pixels.compare import Pixels
from feedbench.bench.plan.plan import TOLERANCE, Choice
from feedbench.bench.trials.child import worker_environment
from feedbench.loaders import BatchSpec


def check_pixels(
    choices: Iterable[Choice],
    manifest: Path,
    spec: BatchSpec,
    log: Path,
    *,
    images: int,
    seed: int = 0,
    tolerance: float = TOLERANCE,
    worst: int = 8,
    on_error: str = "raise",
    sheet: Path | None = None,
    started: Callable[[str], None] = lambda name: None,
    limit_s: float | None = None,
) -> Pixels:
    """Compare the loaders' pixels on a sample of a manifest's file, in a process apart.

    Args:
        log: what libraries write to standard error.
        sheet: where to draw the worst differences.
        limit_s: seconds that it may take.

    Raises:
        TrialError: no loader can give the images, the process died, or took too long.
    """
    order = {
        "choices": [choice.model_dump() for choice in choices],
        "manifest": str(manifest.absolute()),
        "spec": spec.model_dump(mode="json"),
        "images": images,
        "seed": seed,
        "tolerance": tolerance,
        "worst": worst,
        "on_error": on_error,
        "sheet": str(sheet.absolute()) if sheet else None,
    }
    process = _start(log)
    watch = threading.Timer(limit_s or threading.TIMEOUT_MAX, _kill, [process])
    watch.daemon = True
    watch.start()
    try:
        return _answered(process, order, log, started)
    finally:
        watch.cancel()
        _kill(process)
        process.communicate()


def _kill(process: subprocess.Popen[str]) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def _start(log: Path) -> subprocess.Popen[str]:
    with log.open("ab") as errors:
        return subprocess.Popen(
            [sys.executable, "-P", "-m", "feedbench.bench.pixels.worker"],
            env=worker_environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            start_new_session=True,
        )


def _answered(
    process: subprocess.Popen[str],
    order: dict[str, Any],
    log: Path,
    started: Callable[[str], None],
) -> Pixels:
    assert process.stdin is not None
    assert process.stdout is not None
    with suppress(BrokenPipeError):
        process.stdin.write(json.dumps(order) + "\n")
        process.stdin.flush()
    for line in process.stdout:
        answer = json.loads(line)
        if answer["event"] == "loader":
            started(answer["name"])
        elif answer["event"] == "error":
            raise TrialError(answer["reason"])
        else:
            return Pixels.model_validate(answer["pixels"])
    raise TrialError(f"the pixel check ended with exit code {process.wait()}; see {log}")
