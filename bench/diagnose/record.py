"""What a diagnosis measured, raw; every figure and sentence is derived from it."""

# The format, by `schema_number`. Every older one is still read.
# 1  Parts with blocks as in a trial of schema 3. Later without a new number: `apart`, `autotuned`.
# 2  Blocks as in a trial of schema 4. Later without a new number: `settings` of a part,
#    `faster_storage`, `other_image_size`, the parts `fixed` and `transfer`.
# 3  `rows`, `machine` and `versions`, as in a trial of schema 5.

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from feedbench.bench.diagnose.autotune import Node
from feedbench.bench.files import read_model
from feedbench.bench.record import Block, CacheState, Conditions, ConsumerName, Record

SCHEMA_NUMBER = 3
RECORD = "diagnosis-record.json"

PartName = Literal[
    "storage",
    "decode",
    "transform",
    "assemble",
    "loader",
    "fixed",
    "transfer",
    "consumer",
    "end to end",
]
FASTER_STORAGE = 4.0  # times as fast, in the prediction, if nothing is said


class Part(Record):
    """The blocks of one part, with everything else taken away."""

    name: PartName
    cache_state: CacheState | None = Field(None, description="of the files that it reads")
    parallel: int | None = Field(
        None, description="cores that decode or transform, or reads under way at once"
    )
    settings: dict[str, Any] | None = Field(
        None, description="of a loader, where they are not those that are diagnosed"
    )
    moved_bytes: float | None = Field(None, description="that it moves for an image, on average")
    start_s: float | None = Field(None, description="from its process' start to its first block")
    blocks: list[Block] = Field(default_factory=list)
    error: str | None = None

    @property
    def rates(self) -> dict[int, float]:
        """Images per second of each block, by round."""
        return {block.round: block.images_per_second for block in self.blocks}


class Diagnosed(Conditions):
    """One diagnosis: what was asked, what the machine has, and each part's blocks."""

    schema_number: int = SCHEMA_NUMBER
    loader: str
    settings: dict[str, Any]
    consumer: ConsumerName
    accelerator: dict[str, Any] | None = None
    spec: dict[str, Any]
    recipe: dict[str, Any]
    cache_state: CacheState = Field(description="in which loader and end to end were measured")
    not_cold: str | None = Field(None, description="why nothing could be measured cold")
    images: int
    encoded_bytes: int = Field(description="of all files")
    decoded_bytes: int = Field(description="of all images at the batch's size, uint8")
    cores: int
    available_memory_bytes: int = Field(description="control group included")
    on_gpu: bool = Field(description="whether the trainer has a GPU")
    apart: bool = Field(False, description="the consumer was measured before the rest")
    faster_storage: float = Field(FASTER_STORAGE, description="times as fast, to be predicted")
    other_image_size: int | None = Field(None, description="to be predicted; none: half of it")
    autotuned: list[Node] | None = Field(None, description="what tf.data's AUTOTUNE settled on")
    parts: list[Part] = Field(default_factory=list)
    self_test: dict[str, Any] | None = None


def read_diagnosed(path: Path) -> Diagnosed:
    """The record that a diagnosis kept.

    Raises:
        RecordError: there is no such file, or it is not valid, or a newer feedbench wrote it.
    """
    return read_model(path, Diagnosed, "diagnosis", SCHEMA_NUMBER)
