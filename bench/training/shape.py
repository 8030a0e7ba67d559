"""What every reader of a training.json relies on."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel


class _Epoch(BaseModel):
    epoch: int
    images: int
    train_s: float
    wait_s: float | None = None


class _Class(BaseModel):
    name: str
    images: int
    recall: float | None
    precision: float | None


class _RateCheck(BaseModel):
    text: str


class TrainingShape(BaseModel):
    """The fields of a training.json that are read without asking whether they are there."""

    loader: str
    settings: dict[str, Any] = {}
    spec: dict[str, Any]
    recipe: dict[str, Any]
    epochs: list[_Epoch]
    test: dict[str, Any] | None
    promise: _RateCheck
    per_class: list[_Class] = []
    dropped: list[Any] = []
