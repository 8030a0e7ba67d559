"""What a training.json must hold to be read: fields that are missing or of another type are named.

Other fields are kept as they are; the metrics of a user's own model have any names.
"""

from __future__ import annotations

from typing import Annotated, Any, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

from feedbench.bench.training.rate_check import RateCheck
from feedbench.loaders import explain
from feedbench.trainer import ONE, device_count


def _checked_devices(text: str) -> str:
    """Return the value of --devices, if it is one."""
    device_count(text)
    return text


class _Model(BaseModel):
    # Strict: what is read is used as it stands in the file, so "5" is no number.
    model_config = ConfigDict(extra="allow", strict=True)


class _Epoch(_Model):
    epoch: int
    images: int = Field(gt=0)
    train_s: float = Field(gt=0)
    wait_s: float | None = None
    learning_rate: float | None = None
    loss: float | None = None
    accuracy: float | None = None
    validation_loss: float | None = None
    validation_accuracy: float | None = None
    validation_s: float | None = None
    first_of_process: bool = False
    metrics: dict[str, Any] = {}


class _Spec(_Model):
    image_size: int
    batch_size: int | None = None


class _Recipe(_Model):
    network: str = "MobileNetV2"
    alpha: float = 1.0


class _Environment(_Model):
    processor: str | None = None
    cores: int | None = None
    gpus: list[str] = []
    packages: dict[str, str | None] = {}


class _Test(_Model):
    loss: float | None = None
    accuracy: float | None = None

    @model_validator(mode="after")
    def _has_a_score(self) -> Self:
        if self.loss is None and self.accuracy is None:
            raise ValueError("neither accuracy nor loss")
        return self


class _Class(_Model):
    name: str
    images: int
    recall: float | None
    precision: float | None


class _Own(_Model):
    digest: str


class _OwnModel(_Model):
    sha256: str


class _Dropped(_Model):
    path: str


class _Timed(_Model):
    epoch: int
    train_s: float
    wait_s: float


class _Machine(_Model):
    processor: str | None
    cores: int | None
    gpus: list[str]


class _Worker(_Model):
    worker: int
    address: str
    images: int
    images_per_second: float | None
    wait_share: float | None
    cpu_s: float
    disk_read_bytes: int | None
    peak_memory_bytes: int
    dropped: list[_Dropped]
    epochs: list[_Timed]
    machine: _Machine


class _Training(_Model):
    loader: str
    devices: Annotated[str, AfterValidator(_checked_devices)] = ONE
    settings: dict[str, Any] = {}
    spec: _Spec
    recipe: _Recipe
    images: dict[str, int | dict[str, int]] = {}
    rows: str | None = None
    classes: list[str] = []
    own: _Own | None = None
    model: _OwnModel | None = None
    epochs: list[_Epoch] = Field(min_length=1)
    promise: RateCheck
    test: _Test | None = None
    per_class: list[_Class] = []
    dropped: list[_Dropped] = []
    environment: _Environment = _Environment()
    workers: list[_Worker] = []


def fault(values: dict[str, Any]) -> str:
    """Return what is wrong with the contents of a training.json; empty if nothing is."""
    return _fault(_Training, values)


def fault_of_epoch(values: dict[str, Any]) -> str:
    """Return what is wrong with one of its epochs; empty if nothing is."""
    return _fault(_Epoch, values)


def _fault(model: type[_Model], values: dict[str, Any]) -> str:
    try:
        model.model_validate(values)
    except ValidationError as error:
        return explain(error)
    return ""
