"""The scripts beside published records, as modules; and records of trials with given rates."""

import importlib
import sys
from pathlib import Path

import pytest

from feedbench.bench.record import Block, Trial

RESULTS = Path(__file__).parents[2] / "results"


@pytest.fixture
def script(monkeypatch):
    """Return a function that imports a script, which may import those beside it."""
    before = set(sys.modules)

    def imported(path):
        monkeypatch.syspath_prepend(str((RESULTS / path).parent))
        return importlib.import_module(Path(path).stem)

    yield imported
    for name in set(sys.modules) - before:
        file = getattr(sys.modules[name], "__file__", None) or ""
        if file.startswith(str(RESULTS)):
            del sys.modules[name]


@pytest.fixture
def trial():
    """Return a function that makes the record of a trial from the rates of its blocks."""
    return recorded


def recorded(loader, rates, settings=None, **values):
    blocks = [
        Block(
            round=number,
            began=10.0 * number,
            seconds=1000 / rate,
            images=1000,
            wait_s=[0.1],
            step_s=[0.9],
        )
        for number, rate in enumerate(rates)
    ]
    empty = {"all_settings": {}, "spec": {"batch_size": 32, "image_size": 224}, "recipe": {}}
    fields = {"settings": settings or {}, "consumer": "drain", "images": 100, **empty, **values}
    return Trial(loader=loader, blocks=blocks, peak_memory_bytes=200_000_000, **fields)
