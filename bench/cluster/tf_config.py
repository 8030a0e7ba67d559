"""The workers that TF_CONFIG names, as clusters that start TensorFlow jobs set it."""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StrictInt

from feedbench.bench.errors import PlanError
from feedbench.bench.plan.toml import parse_model

TF_CONFIG = "TF_CONFIG"
_SHOWN = 80  # characters of a text that is not valid
# Fields of a process that trains alone; another one may be `cluster` with a mistake in its name.
_ALONE = frozenset({"task", "environment", "job", "rpc_layer"})


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class _Jobs(_Strict):
    """The addresses of those that train, in the order in which TensorFlow counts them."""

    chief: list[str] = []
    worker: list[str] = []


class _Task(_Strict):
    type: Literal["chief", "worker"]
    index: Annotated[StrictInt, Field(ge=0)]


class _Cluster(BaseModel):
    """Fields that other programs read, such as `environment`, are allowed."""

    cluster: _Jobs


class _Member(_Cluster):
    task: _Task


def workers_in(text: str) -> tuple[list[str], int]:
    """Return the addresses of all workers, the chief's first, and the number of this one, from 0.

    Args:
        text: of TF_CONFIG; without a cluster, or with an empty one, it has no workers, as for
            TensorFlow.

    Raises:
        PlanError: a field is missing or not valid.
    """
    values = _json_object(text)
    if values.keys() <= _ALONE:
        values = {"cluster": {}, **values}
    jobs = parse_model(_Cluster, values, TF_CONFIG).cluster
    if len(jobs.chief) > 1:
        raise PlanError(
            f"{TF_CONFIG}: cluster.chief: lists {len(jobs.chief)} addresses, and there is one "
            "chief; list the others as worker"
        )
    addresses = [*jobs.chief, *jobs.worker]
    if not addresses:
        _check_alone(values.get("task"))
        return [], 0
    return addresses, _number(jobs, values)


def _json_object(text: str) -> dict[str, Any]:
    try:
        values = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise PlanError(f"{TF_CONFIG}: not JSON: {error}; got {text[:_SHOWN]!r}") from error
    if not isinstance(values, dict):
        raise PlanError(
            f"{TF_CONFIG}: must be a JSON object with cluster and task, got {text[:_SHOWN]!r}"
        )
    return values


def _check_alone(task: Any) -> None:
    """Check that a task without a cluster is not one of several."""
    index = task.get("index", 0) if isinstance(task, dict) else 0
    if index not in (0, "0"):
        raise PlanError(
            f"{TF_CONFIG}: task.index: is {index!r}, so that there are other workers, and no "
            "cluster lists them; add cluster, the same on all workers"
        )


def _number(jobs: _Jobs, values: dict[str, Any]) -> int:
    task = parse_model(_Member, values, TF_CONFIG).task
    members = jobs.chief if task.type == "chief" else jobs.worker
    if task.index >= len(members):
        raise PlanError(
            f"{TF_CONFIG}: task.index: the cluster lists {len(members)} of type {task.type}, "
            f"counted from 0, got {task.index}"
        )
    return task.index if task.type == "chief" else len(jobs.chief) + task.index
