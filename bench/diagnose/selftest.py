"""The self-test: known rates and bottlenecks, measured by the code that measures unknown ones."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict

from feedbench.bench.accelerator import Accelerator
from feedbench.bench.consumers.base import Consumer, Drain
from feedbench.bench.consumers.emulated import EmulatedAccelerator, sleep_until
from feedbench.bench.diagnose.checks import Check, SelfTest
from feedbench.bench.diagnose.events import OnEvent
from feedbench.bench.diagnose.measure import diagnose
from feedbench.bench.diagnose.model import Cause
from feedbench.bench.diagnose.rates import rates_of
from feedbench.bench.diagnose.setup import DiagnosisPlan, DiagnosisTiming
from feedbench.bench.diagnose.stall_shares import bottleneck
from feedbench.bench.errors import TrialError
from feedbench.bench.plan.plan import Choice
from feedbench.bench.trials.block import timed_block
from feedbench.bench.trials.internal_loaders import DELAY, register
from feedbench.loaders import Batch, BatchSpec, scan
from feedbench.trainer import Recipe

LEAST_AU = 0.99
DELAY_TOLERANCE = 0.02  # largest relative error of a measured delay
_BATCH_SIZE = 8
_DELAY_S = 0.02  # known delay per batch, of the loader or of the consumer
_BLOCK_S = 0.6
_BLOCKS = 3
_FILES = 64
TIMING = DiagnosisTiming(
    stage_s=0.2, block_s=0.5, end_to_end_s=1.0, warm_up_s=0.3, rounds=3, budget_s=60.0
)


class InjectedBottleneck(BaseModel):
    """A bottleneck that is built into a loader or consumer, and the cause it must be named.

    Attributes:
        settings: of the loader `delay`.
        step_s: seconds per image of the emulated accelerator.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    settings: dict[str, Any]
    expected: Cause
    step_s: float = 0.0005


INJECTED_BOTTLENECKS = (
    InjectedBottleneck(name="slow storage", settings={"read_s": 0.004}, expected="storage"),
    InjectedBottleneck(
        name="slow decoding", settings={"decode_s": 0.004, "workers": 2}, expected="decoding"
    ),
    InjectedBottleneck(
        name="slow consumer",
        settings={"decode_s": 0.0005, "workers": 2},
        expected="accelerator",
        step_s=0.005,
    ),
    InjectedBottleneck(
        name="a Python lock",
        settings={"locked_s": 0.004, "decode_s": 0.0005, "workers": 2},
        expected="Python",
    ),
    InjectedBottleneck(name="a slow batch copy", settings={"copy_s": 0.004}, expected="batch copy"),
)


def short_test() -> SelfTest:
    """Measure known delays and counts in this process; takes a few seconds."""
    return SelfTest(
        checks=[
            _check_utilization(),
            _check_delay("a loader with a known delay", Drain(), _DELAY_S),
            _check_delay(
                "a consumer with a known delay", EmulatedAccelerator(_DELAY_S / _BATCH_SIZE)
            ),
            _check_count(),
        ]
    )


def injected_test(injected: InjectedBottleneck, folder: Path, on_event: OnEvent) -> Check:
    """Diagnose a loader with a known bottleneck; the check passes if it is named.

    Raises:
        RecordError: the folder cannot be written.
    """
    register()
    plan = DiagnosisPlan(
        choice=Choice(loader=DELAY.name, settings=injected.settings),
        spec=BatchSpec(batch_size=_BATCH_SIZE, image_size=16),
        recipe=Recipe(),
        consumer="emulated:known",
        accelerator=_accelerator(injected.step_s),
        cache_state="warm",
    )
    manifest = scan(_write_files(folder)).only("train")
    try:
        rates = rates_of(diagnose(plan, manifest, folder, on_event, TIMING))
    except TrialError as error:
        measured = str(error)
    else:
        measured = bottleneck(rates).cause if rates is not None else "nothing"
    return Check(
        name=injected.name,
        expected=injected.expected,
        measured=measured,
        passed=measured == injected.expected,
    )


def _accelerator(step_s: float) -> Accelerator:
    return Accelerator(
        device="clock",
        images_per_second=1 / step_s,
        batch_size=_BATCH_SIZE,
        image_size=16,
        network=Recipe().network,
        alpha=Recipe().alpha,
        precision="none",
        source="the self-test",
    )


def _write_files(folder: Path) -> Path:
    """Write small files of two classes, which are read but never decoded; return their folder."""
    for index in range(_FILES):
        class_folder = folder / "files" / str(index % 2)
        class_folder.mkdir(parents=True, exist_ok=True)
        (class_folder / f"{index}.jpg").write_bytes(bytes(4096))
    return folder / "files"


def _batches(delay_s: float = 0.0) -> Iterator[Batch]:
    images = np.zeros((_BATCH_SIZE, 1, 1, 3), np.uint8)
    labels, rows = np.zeros(_BATCH_SIZE, np.int32), np.arange(_BATCH_SIZE)
    while True:
        sleep_until(perf_counter() + delay_s)
        yield Batch(images, labels, rows)


def _rate(consumer: Consumer, delay_s: float = 0.0) -> float:
    """Return the median rate of a few blocks, in images per second."""
    batches = _batches(delay_s)
    blocks = [timed_block(batches, consumer, _BLOCK_S) for _ in range(_BLOCKS)]
    return median(block.images_per_second for block in blocks)


def _check_utilization() -> Check:
    """Check that a loader without a delay keeps the consumer busy."""
    utilization = _rate(EmulatedAccelerator(_DELAY_S / _BATCH_SIZE)) * _DELAY_S / _BATCH_SIZE
    return Check(
        name="a loader without a delay",
        expected=f"AU of at least {LEAST_AU:.0%}",
        measured=f"{utilization:.2%}",
        passed=LEAST_AU <= utilization <= 1 + DELAY_TOLERANCE,
    )


def _check_delay(name: str, consumer: Consumer, delay_s: float = 0.0) -> Check:
    """Check that the time per batch is the known delay."""
    measured_s = _BATCH_SIZE / _rate(consumer, delay_s)
    return Check(
        name=name,
        expected=f"{_DELAY_S * 1e3:.1f} ms per batch, within {DELAY_TOLERANCE:.0%}",
        measured=f"{measured_s * 1e3:.2f} ms",
        passed=abs(measured_s / _DELAY_S - 1) <= DELAY_TOLERANCE,
    )


def _check_count() -> Check:
    """Check the number of images of a block against the number that the consumer received."""
    consumer = _Counter()
    block = timed_block(islice(_batches(), 10**9), consumer, _BLOCK_S / 10)
    return Check(
        name="the number of images",
        expected=f"{consumer.images:,}",
        measured=f"{block.images:,}",
        passed=block.images == consumer.images,
    )


class _Counter(Drain):
    """A consumer that counts its images."""

    def __init__(self) -> None:
        self.images = 0

    def step(self, batch: Batch) -> None:
        self.images += len(batch.rows)
