"""What a diagnosis learns of a user's own function: the files it opens, and its tf.data graph."""

from __future__ import annotations

import os
import sys
from time import perf_counter
from typing import Any

import numpy as np
from pydantic import Field

from feedbench.bench.diagnose.tf_graph.graph import Graph, measured_graph
from feedbench.bench.diagnose.tf_graph.recording import Recording, recorded
from feedbench.bench.diagnose.tf_graph.settings_passed import with_settings
from feedbench.bench.record import Record
from feedbench.bench.trials.opened import OpenedFiles, folders_below
from feedbench.loaders import (
    BatchSpec,
    Loader,
    Manifest,
    Settings,
    file_of,
    open_loader,
    own_calls_within,
    printable,
)

_NAMED = 5  # files outside the list that the record names


class Opened(Record):
    """The files that a user's function opened while it was watched.

    Attributes:
        listed: number of files of the list of images.
        others: number of other files in the same folders.
        examples: names of some of these.
        error: why some folders could not be watched.
    """

    listed: int
    others: int = 0
    examples: list[str] = Field(default_factory=list)
    error: str | None = None


class Observed(Record):
    """A user's function, as a diagnosis has observed it.

    Attributes:
        opened: the files that it opened.
        graph: None if it returns no tf.data.Dataset.
        why_no_graph: why the graph of a tf.data.Dataset could not be measured.
    """

    opened: Opened
    graph: Graph | None = None
    why_no_graph: str | None = None


def observed(
    loader: Loader,
    manifest: Manifest,
    spec: BatchSpec,
    settings: Settings,
    opened_s: float,
    model_s: float,
) -> Observed:
    """Run a user's function for some seconds, and return what it did.

    Args:
        opened_s: as in `DiagnosisTiming`; a tf.data.Dataset is watched for one batch.
        model_s: as in `DiagnosisTiming`.

    Raises:
        LoaderError: it fails.
    """
    returned: list[tuple[Recording, Any]] = []

    def remember(call: Any) -> Any:
        value, recording = _recorded(call)
        returned.append((recording, value))
        return value

    with OpenedFiles(_folders(manifest)) as opened:
        with (
            own_calls_within(remember),
            open_loader(loader.name, manifest, spec, settings) as stream,
        ):
            next(stream)
            end = perf_counter() + opened_s
            if not _is_dataset(returned[-1][1]):
                while perf_counter() < end:
                    next(stream)
        graph, reason = _graph(*returned[-1], model_s)
        graph = with_settings(graph, loader, settings) if graph else None
    return Observed(opened=_opened(opened, manifest), graph=graph, why_no_graph=reason)


def _recorded(call: Any) -> tuple[Any, Recording]:
    with recorded() as recording:
        return call(), recording


def _is_dataset(value: Any) -> bool:
    tf = sys.modules.get("tensorflow")
    return tf is not None and isinstance(value, tf.data.Dataset)


def _graph(recording: Recording, returned: Any, seconds: float) -> tuple[Graph | None, str | None]:
    if not _is_dataset(returned):
        return None, None
    try:
        return measured_graph(recording.chain(returned), seconds), None
    except Exception as error:  # of the user's functions, or of a stage that cannot be built again
        text = (str(error).strip().splitlines() or [""])[0]
        return None, printable(f"{type(error).__name__}: {text}")


def _listed(manifest: Manifest) -> set[bytes]:
    """The files that hold the listed images: their own, or shards."""
    return set(map(file_of, manifest.paths(np.arange(len(manifest)))))


def _folders(manifest: Manifest) -> list[bytes]:
    """The folders of the listed files, and those of the data."""
    listed = {os.path.split(path)[0] for path in _listed(manifest)}
    return [*listed, *folders_below(os.fsencode(manifest.source or manifest.root))]


def _opened(opened: OpenedFiles, manifest: Manifest) -> Opened:
    listed = _listed(manifest)
    real = {os.path.realpath(path) for path in listed}
    others = sorted(
        path for path in opened.paths if path not in listed and os.path.realpath(path) not in real
    )
    return Opened(
        listed=len(opened.paths) - len(others),
        others=len(others),
        examples=[printable(os.fsdecode(path)) for path in others[:_NAMED]],
        error=opened.error,
    )
