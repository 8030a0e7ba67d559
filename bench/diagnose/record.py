"""The raw record of a diagnosis; every figure and sentence is derived from it."""

# The format, by `schema_number`. All older ones can still be read.
# 1  Parts with blocks as in a trial of schema 3. Added later without a new number: `apart`,
#    `autotuned`.
# 2  Blocks as in a trial of schema 4. Added later without a new number: `settings` of a part,
#    `faster_storage`, `other_image_size`, the parts `fixed` and `transfer`.
# 3  `rows`, `machine` and `versions`, as in a trial of schema 5.
# 4  The parts "decode" and "assemble" are called "decoding" and "batch copy". `kind`, `workers`,
#    `copies_apart`, `locked` and `sampled`. Added later without a new number: the part "storage in
#    order"; `own`, `model`, `observed`, `interrupted`, `mistake` and `stage` of a part, the parts
#    `reference` and `rewritten`; `budget_s`, `rewrite` and `devices`; `service_workers`, the parts
#    "service workers", "network" and "loader, other size"; `most_workers`.

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import (
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    field_validator,
)

from feedbench.bench.described import check, check_described, check_fields
from feedbench.bench.diagnose.autotune import Node
from feedbench.bench.diagnose.checks import SelfTest
from feedbench.bench.diagnose.own import Observed
from feedbench.bench.errors import RecordError
from feedbench.bench.files import read_model
from feedbench.bench.record import Block, CacheState, Conditions, ConsumerName, Own, Record
from feedbench.loaders.stages import Kind

SCHEMA_NUMBER = 4
RECORD = "diagnosis-record.json"

PartName = Literal[
    "storage",
    "storage in order",
    "decoding",
    "transform",
    "batch copy",
    "service workers",
    "network",
    "loader",
    "loader, other size",
    "fixed",
    "reference",
    "transfer",
    "consumer",
    "end to end",
    "rewritten",
]
_FORMER_NAMES = {"decode": "decoding", "assemble": "batch copy"}
_NEEDED = ("image_size", "batch_size")  # of a batch spec
FASTER_STORAGE = 4.0  # default of the prediction: storage this many times as fast


class Part(Record):
    """The blocks of one part, measured with everything else taken away."""

    name: PartName = Field(description="what was measured alone")
    cache_state: CacheState | None = Field(None, description="of the files that the part reads")
    parallel: PositiveInt | None = Field(
        None, description="number of cores, or of concurrent reads"
    )
    settings: dict[str, Any] | None = Field(
        None, description="of the loader, if they differ from the settings that are diagnosed"
    )
    mistake: str | None = Field(None, description="that a rewritten pipeline is without")
    stage: int | None = Field(None, description="index of the stage that was rewritten")
    moved_bytes: NonNegativeFloat | None = Field(None, description="mean bytes moved per image")
    start_s: float | None = Field(None, description="from the start of its process until ready")
    blocks: list[Block] = Field(default_factory=list)
    error: str | None = None

    @field_validator("name", mode="before")
    @classmethod
    def _present_name(cls, name: Any) -> Any:
        return _FORMER_NAMES.get(name, name) if isinstance(name, str) else name

    @property
    def rates(self) -> dict[int, float]:
        """Images per second of each block, by round."""
        return {block.round: block.images_per_second for block in self.blocks}


class DiagnosisRecord(Conditions):
    """One diagnosis: its plan, the machine, and the blocks of each part."""

    schema_number: int = SCHEMA_NUMBER
    loader: str
    settings: dict[str, Any]
    consumer: ConsumerName = Field(description="what took the batches")
    accelerator: dict[str, Any] | None = Field(
        None, description="profile that was emulated; None otherwise"
    )
    spec: dict[str, Any]
    recipe: dict[str, Any]
    cache_state: CacheState = Field(description="of the files, for loader and end to end")
    not_cold: str | None = Field(None, description="why nothing could be measured cold")
    images: PositiveInt = Field(description="rows of the manifest")
    sampled: PositiveInt | None = Field(
        None, description="number of images drawn for the measurements; None: all of them"
    )
    encoded_bytes: NonNegativeInt = Field(description="total size of the files")
    decoded_bytes: NonNegativeInt = Field(
        description="total size of the images in a batch's size as uint8"
    )
    cores: PositiveInt = Field(description="CPU cores that the process may use")
    available_memory_bytes: NonNegativeInt = Field(
        description="within the limit of the control group"
    )
    on_gpu: bool = Field(description="whether the trainer has a GPU")
    devices: list[str] = Field(
        [], description="TensorFlow's names of all devices of the trainer; empty without one"
    )
    kind: Kind | None = Field(None, description="how the loader runs its parts, if it says so")
    workers: PositiveInt | None = Field(
        None, description="threads or processes of the loader that read and prepare images"
    )
    most_workers: PositiveInt | None = Field(
        None,
        description="most of these that its settings allow on any number of cores; None: more on "
        "more cores, or unknown",
    )
    copies_apart: bool = Field(
        False, description="the loader copies batches on one thread beside its workers"
    )
    locked: float | None = Field(
        None,
        description="share of the time for which threads of the loader held Python's lock; none "
        "without such threads",
    )
    service_workers: NonNegativeInt | None = Field(
        None, description="workers of the tf.data service that ran; None without one"
    )
    budget_s: float | None = Field(None, description="time budget, in seconds")
    rewrite: bool = Field(
        False, description="the pipeline was also measured without each of its mistakes"
    )
    apart: bool = Field(False, description="the consumer was measured before all other parts")
    faster_storage: PositiveFloat = Field(
        FASTER_STORAGE, description="storage to predict: this many times as fast"
    )
    other_image_size: PositiveInt | None = Field(
        None, description="image size to predict, in pixels; default: half of it"
    )
    autotuned: list[Node] | None = Field(None, description="the pipeline that AUTOTUNE has set")
    own: Own | None = Field(None, description="the user's function, if that is the loader")
    model: dict[str, Any] | None = Field(
        None, description="file and digest of the user's own model; None without one"
    )
    observed: Observed | None = Field(None, description="what the user's function did")
    parts: list[Part] = Field(
        default_factory=list, description="the parts that were measured, each alone"
    )
    self_test: dict[str, Any] | None = Field(
        None, description="result of the short self-test; None if it did not run"
    )
    interrupted: bool = Field(False, description="whether Ctrl-C ended the measurements early")

    @property
    def other_size(self) -> int:
        """The image size to predict, in pixels."""
        return self.other_image_size or max(1, int(self.spec["image_size"]) // 2)

    @field_validator("self_test")
    @classmethod
    def _is_self_test(cls, value: dict[str, Any] | None) -> dict[str, Any] | None:
        if value is not None:
            check("self_test", SelfTest, value)
        return value


def read_diagnosis(path: Path) -> DiagnosisRecord:
    """Read the record of a diagnosis.

    Raises:
        RecordError: the file is missing, invalid, or written by a newer version of feedbench.
    """
    record = read_model(path, DiagnosisRecord, "diagnosis", SCHEMA_NUMBER, is_raw=True)
    try:
        check_described(record)
        check_fields("spec", record.spec, _NEEDED)
    except ValueError as error:
        raise RecordError(f"{path}: {error}") from error
    return record
