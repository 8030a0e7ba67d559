"""What a training.json must hold to be read: fields that are missing or of another type are named.

Other fields are kept as they are; the metrics of a user's own model have any names.
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from feedbench.loaders import explain


class _Model(BaseModel):
    model_config = ConfigDict(extra="allow")


class _Epoch(_Model):
    epoch: int
    images: int = Field(ge=0)
    train_s: float = Field(gt=0)
    wait_s: float | None = None
    learning_rate: float | None = None
    loss: float | None = None
    accuracy: float | None = None
    validation_loss: float | None = None
    validation_accuracy: float | None = None
    validation_s: float | None = None
    metrics: dict[str, Any] = {}


class _Spec(_Model):
    image_size: int


class _Promise(_Model):
    text: str


class _Test(_Model):
    loss: float | None = None
    accuracy: float | None = None


class _Class(_Model):
    images: int


class _Dropped(_Model):
    path: str


class _Training(_Model):
    loader: str
    settings: dict[str, Any] = {}
    spec: _Spec
    recipe: dict[str, Any]
    epochs: list[_Epoch] = Field(min_length=1)
    promise: _Promise
    test: _Test | None = None
    per_class: list[_Class] = []
    dropped: list[_Dropped] = []
    environment: dict[str, Any] = {}


def fault(values: dict[str, Any]) -> str:
    """Return what is wrong with the contents of a training.json; empty if nothing is."""
    try:
        _Training.model_validate(values)
    except ValidationError as error:
        return explain(error)
    return ""
