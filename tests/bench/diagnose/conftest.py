"""Made-up records of a diagnosis."""

import pytest

from feedbench.bench.diagnose.record import DiagnosisRecord, Part
from feedbench.bench.record import Block

FILE_BYTES = 100  # of each made-up file


def _blocks(rate, cores=1.0, state=None):
    """Three blocks around a rate in images per second; with a state, blocks that prove it."""
    return [
        Block(
            round=round_index,
            seconds=2.0,
            images=round(rate * 2 * (1 + noise)),
            wait_s=[],
            step_s=[],
            cpu_s=cores * 2,
            disk_read_bytes=round(rate * 2 * FILE_BYTES) if state == "cold" else 0,
            consumed_bytes=round(rate * 2 * FILE_BYTES) if state else None,
        )
        for round_index, noise in enumerate((-0.01, 0.0, 0.01))
    ]


def _record(state="warm", consumer_name="emulated:a100", **rates):
    """A machine with two cores and, by default, a loader in line of 400 images per second."""
    rates = {
        "storage_serial": 20_000,
        "storage": 40_000,
        "decode": 500,
        "transform": 4_000,
        "batch_copy": 10_000,
        "loader": 400,
        "loader_warm": None,
        "loader_cores": 1.0,
        "consumer": 1_000,
        "end_to_end": 400,
        "kind": "in line",
        "workers": 1,
        "locked": None,
        **rates,
    }
    cores = rates["loader_cores"]
    reading = 0.01 if state == "cold" else 1.0  # a read from memory keeps its core busy
    storage = {"name": "storage", "cache_state": state, "moved_bytes": FILE_BYTES}
    parts = [
        Part(parallel=count, blocks=_blocks(rates[key], reading, state), **storage)
        for count, key in ((1, "storage_serial"), (4, "storage"))
    ]
    parts += [
        Part(name=name, parallel=count, blocks=_blocks(rates[key] * count, count))
        for key, name in (("decode", "decoding"), ("transform", "transform"))
        for count in (1, 2)
    ]
    parts.append(Part(name="batch copy", parallel=1, blocks=_blocks(rates["batch_copy"])))
    loader = _blocks(rates["loader"], cores, state)
    parts.append(Part(name="loader", cache_state=state, blocks=loader))
    if state == "cold":
        warm = _blocks(rates["loader_warm"] or rates["loader"], cores, "warm")
        parts.append(Part(name="loader", cache_state="warm", blocks=warm))
    parts.append(Part(name="consumer", blocks=_blocks(rates["consumer"])))
    end_to_end = _blocks(rates["end_to_end"], state=state)
    parts.append(Part(name="end to end", cache_state=state, blocks=end_to_end))
    return DiagnosisRecord(
        loader="keras_pil",
        settings={},
        consumer=consumer_name,
        accelerator=None,
        spec={"image_size": 224, "batch_size": 32},
        recipe={},
        cache_state=state,
        images=1_000,
        encoded_bytes=1_000 * FILE_BYTES,
        decoded_bytes=1_000 * 3 * 224**2,
        cores=2,
        kind=rates["kind"],
        workers=rates["workers"],
        copies_apart=rates["kind"] == "pipelined",
        locked=rates["locked"],
        available_memory_bytes=10**9,
        on_gpu=False,
        parts=parts,
    )


def _without(record, *names):
    """The record of a loader that does not have these stages."""
    parts = [part for part in record.parts if part.name not in names]
    return record.model_copy(update={"parts": parts})


@pytest.fixture
def make_blocks():
    return _blocks


@pytest.fixture
def make_record():
    return _record


@pytest.fixture
def without():
    return _without


@pytest.fixture
def record_with_transfer():
    """A function: the record of a busy consumer with a copy to the device, at a rate."""

    def make(rate, bytes_per_image):
        record = _record(loader=4_000, decode=5_000, end_to_end=995)
        transfer = Part(name="transfer", moved_bytes=bytes_per_image, blocks=_blocks(rate))
        parts = [*record.parts[:-2], transfer, *record.parts[-2:]]
        return record.model_copy(update={"parts": parts})

    return make


@pytest.fixture
def record_with_full_cache():
    """A function: the record of a loader that only gathers decoded images, on both cores."""

    def make(copy_serial, copy_all):
        record = _record(
            loader=5_000,
            loader_cores=2.0,
            end_to_end=5_000,
            consumer=20_000,
            batch_copy=copy_serial,
            kind="threads",
            workers=2,
        )
        parallel = Part(name="batch copy", parallel=2, blocks=_blocks(copy_all, 2))
        record = record.model_copy(update={"parts": [parallel, *record.parts]})
        return _without(record, "storage", "decoding", "transform")

    return make
