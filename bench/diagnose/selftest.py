"""The harness tests itself: known answers, through the very code that measures unknown ones."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict

from feedbench.bench.consumers.base import Consumer, Drain
from feedbench.bench.consumers.emulated import EmulatedAccelerator, sleep_until
from feedbench.bench.diagnose.derive import Cause, bottleneck, rates_of
from feedbench.bench.diagnose.measure import Say, diagnose
from feedbench.bench.diagnose.setup import Pace, Question
from feedbench.bench.errors import TrialError
from feedbench.bench.internal_loaders import DELAY, register
from feedbench.bench.plan.accelerators import Accelerator
from feedbench.bench.plan.plan import Choice
from feedbench.bench.trials.block import timed_block
from feedbench.loaders import Batch, BatchSpec, scan
from feedbench.trainer import Recipe

LEAST_AU = 0.99
DELAY_TOLERANCE = 0.02
_BATCH = 8
_STEP_S = 0.02  # known, of a batch; of loader or of consumer
_BLOCK_S = 0.6
_BLOCKS = 3
_FILES = 64
PACE = Pace(stage_s=0.2, block_s=0.5, whole_s=1.0, warm_up_s=0.3, rounds=3, budget_s=60.0)


class Check(BaseModel):
    """One known answer and what was measured."""

    model_config = ConfigDict(extra="forbid")

    name: str
    expected: str
    measured: str
    passed: bool


class SelfTest(BaseModel):
    """All checks of one self-test."""

    model_config = ConfigDict(extra="forbid")

    checks: list[Check]

    @property
    def passed(self) -> bool:
        """Whether all did."""
        return all(check.passed for check in self.checks)


def short_test() -> SelfTest:
    """Known delays and counts, in this process; a few seconds."""
    return SelfTest(checks=[_costless(), _known_loader(), _known_consumer(), _counted()])


class Injected(BaseModel):
    """A bottleneck that is put there, and what it must be named."""

    model_config = ConfigDict(frozen=True)

    name: str
    settings: dict[str, Any]
    expected: Cause
    step_s: float = 0.0005  # of the emulated accelerator, for an image


INJECTED = (
    Injected(name="slow storage", settings={"read_s": 0.004}, expected="storage"),
    Injected(name="slow decoding", settings={"decode_s": 0.004, "workers": 2}, expected="decoding"),
    Injected(
        name="slow consumer",
        settings={"decode_s": 0.0005, "workers": 2},
        expected="accelerator",
        step_s=0.005,
    ),
    Injected(
        name="a Python lock",
        settings={"locked_s": 0.004, "decode_s": 0.0005, "workers": 2},
        expected="Python",
    ),
    Injected(name="a slow batch copy", settings={"copy_s": 0.004}, expected="batch copy"),
)


def injected_test(one: Injected, folder: Path, say: Say) -> Check:
    """Diagnose a loader with a known bottleneck.

    Raises:
        RecordError: the folder cannot be written.
    """
    register()
    question = Question(
        choice=Choice(loader=DELAY.name, settings=one.settings),
        spec=BatchSpec(batch_size=_BATCH, image_size=16),
        recipe=Recipe(),
        consumer="emulated:known",
        accelerator=_accelerator(one.step_s),
        cache_state="warm",
    )
    try:
        record = diagnose(question, scan(_files(folder)).only("train"), folder, say, PACE)
    except TrialError as error:
        return Check(name=one.name, expected=one.expected, measured=str(error), passed=False)
    rates = rates_of(record)
    found = bottleneck(rates).cause if rates is not None else "nothing"
    return Check(name=one.name, expected=one.expected, measured=found, passed=found == one.expected)


def _accelerator(step_s: float) -> Accelerator:
    return Accelerator(
        device="clock",
        images_per_second=1 / step_s,
        batch_size=_BATCH,
        image_size=16,
        network=Recipe().network,
        alpha=Recipe().alpha,
        precision="none",
        source="the self-test",
    )


def _files(folder: Path) -> Path:
    """Small files of two classes, which nobody decodes."""
    for index in range(_FILES):
        place = folder / "files" / str(index % 2)
        place.mkdir(parents=True, exist_ok=True)
        (place / f"{index}.jpg").write_bytes(bytes(4096))
    return folder / "files"


def _batches(delay_s: float = 0.0) -> Iterator[Batch]:
    images = np.zeros((_BATCH, 1, 1, 3), np.uint8)
    labels, rows = np.zeros(_BATCH, np.int32), np.arange(_BATCH)
    while True:
        sleep_until(perf_counter() + delay_s)
        yield Batch(images, labels, rows)


def _rate(consumer: Consumer, delay_s: float = 0.0) -> float:
    """Median images a second of some blocks."""
    batches = _batches(delay_s)
    blocks = [timed_block(batches, consumer, _BLOCK_S) for _ in range(_BLOCKS)]
    return median(block.images_per_second for block in blocks)


def _costless() -> Check:
    share = _rate(EmulatedAccelerator(_STEP_S / _BATCH)) * _STEP_S / _BATCH
    return Check(
        name="a loader that costs nothing",
        expected=f"AU of at least {LEAST_AU:.0%}",
        measured=f"{share:.2%}",
        passed=LEAST_AU <= share <= 1 + DELAY_TOLERANCE,
    )


def _known_loader() -> Check:
    return _known("a loader of known delay", 1 / _rate(Drain(), _STEP_S) * _BATCH)


def _known_consumer() -> Check:
    return _known(
        "a consumer of known delay", 1 / _rate(EmulatedAccelerator(_STEP_S / _BATCH)) * _BATCH
    )


def _known(name: str, seconds: float) -> Check:
    return Check(
        name=name,
        expected=f"{_STEP_S * 1e3:.1f} ms a batch, within {DELAY_TOLERANCE:.0%}",
        measured=f"{seconds * 1e3:.2f} ms",
        passed=abs(seconds / _STEP_S - 1) <= DELAY_TOLERANCE,
    )


def _counted() -> Check:
    """The images of a block against those that its consumer was given."""
    taken = _Counting()
    block = timed_block(islice(_batches(), 10**9), taken, _BLOCK_S / 10)
    return Check(
        name="the number of images",
        expected=str(taken.images),
        measured=str(block.images),
        passed=block.images == taken.images,
    )


class _Counting(Drain):
    def __init__(self) -> None:
        self.images = 0

    def step(self, batch: Batch) -> None:
        self.images += len(batch.rows)
