"""Messages between an audit and its processes, as JSON, since these read untrusted files."""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from collections.abc import Iterable
from typing import Any

Facts = dict[str, Any]
File = tuple[int, bytes]  # a number and a path

MAX_BYTES = 200_000  # of sixteen paths or reasons at their longest


def files_as_bytes(files: Iterable[File]) -> bytes:
    """A group of files to read."""
    return json.dumps([(number, b64encode(path).decode()) for number, path in files]).encode()


def files_of(message: bytes) -> list[File]:
    """What `files_as_bytes` has encoded."""
    return [(number, b64decode(path)) for number, path in json.loads(message)]


def results_as_bytes(results: Iterable[tuple[int, Facts]]) -> bytes:
    """The facts of a group of files."""
    return json.dumps([(number, _with(facts, bytes.hex)) for number, facts in results]).encode()


def beginning_as_bytes(process: int) -> bytes:
    """The word of a process that it begins to probe a group of files."""
    return json.dumps(process).encode()


def answer_of(message: bytes) -> int | list[tuple[int, Facts]]:
    """What `beginning_as_bytes` or `results_as_bytes` has encoded."""
    answer = json.loads(message)
    if isinstance(answer, int):
        return answer
    return [(number, _with(facts, bytes.fromhex)) for number, facts in answer]


def _with(facts: Facts, convert: Any) -> Facts:
    """The facts with their digest converted: JSON has no bytes."""
    digest = facts["digest"]
    return {**facts, "digest": None if digest is None else convert(digest)}
