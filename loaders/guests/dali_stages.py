"""The parts of DALI's loader: its graph, on the bytes of a sample, and the copy of its batches."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import cycle, islice
from typing import Any

import numpy as np

from feedbench.loaders.guests.dali_graph import Dali, Graph, done_by_dali, finish_of
from feedbench.loaders.guests.stages import sampled_files
from feedbench.loaders.manifest import Manifest
from feedbench.loaders.spec import BatchSpec
from feedbench.loaders.stages.draws import drawn
from feedbench.loaders.stages.stage import Concurrency, Run, Stages, repeated, whole_files


def dali_stages(manifest: Manifest, spec: BatchSpec, settings: Dali) -> Stages:
    """Decoding, resizing and what else DALI does are one graph, and one stage."""
    concurrency = Concurrency("pipelined", settings.num_threads)
    work = _Work(manifest, spec, settings)
    return Stages(
        whole_files(manifest), work.decode, batch_copy=work.batch_copy, concurrency=concurrency
    )


class _Work:
    """What DALI does for a sample in memory, and the copy of its batches."""

    def __init__(self, manifest: Manifest, spec: BatchSpec, settings: Dali) -> None:
        self._manifest, self._spec, self._settings = manifest, spec, settings

    def decode(self, cores: int) -> Run:
        """Run the graph on the bytes of the sample, on as many threads as cores."""
        settings = self._settings.model_copy(update={"num_threads": cores})
        return repeated(self._decoded(Graph(self._spec, settings, reads_files=False)))

    def batch_copy(self, cores: int) -> Run:
        """Copy a batch out of DALI's memory, and do what is left to the host; on one core."""
        return repeated(self._copied())

    def _decoded(self, graph: Graph) -> Iterator[int]:
        size = self._spec.batch_size
        pipeline = graph.pipeline(self._inputs(graph), size)
        while True:
            pipeline.run()
            yield size

    def _inputs(self, graph: Graph) -> Iterator[list[list[Any]]]:
        items = cycle(sampled_files(self._manifest, self._spec))
        draws = drawn(self._spec.batch_size, self._spec)
        for batch in iter(lambda: list(islice(items, len(draws))), []):
            cut = [crop for _, _, _, crop in batch if crop is not None]
            crops = np.stack(cut) if cut else None
            yield graph.inputs((data for _, _, data, _ in batch), draws, crops)

    def _copied(self) -> Iterator[int]:
        size, side = self._spec.batch_size, self._spec.image_size
        finish, draws = finish_of(self._spec, self._settings), drawn(size, self._spec)
        dtype = self._settings.output if done_by_dali(self._spec) else "uint8"
        batch = np.full((size, side, side, 3), 127, dtype)
        while True:
            finish(np.array(batch), draws)
            yield size
