"""The parts of DALI's loader: its graph, on the bytes of a sample, and what is left to the host."""

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
    left = None if done_by_dali(spec) else work.finish
    return Stages(whole_files(manifest), work.decode, batch_copy=left, concurrency=concurrency)


class _Work:
    """What DALI does for a sample in memory, and what is left to the host."""

    def __init__(self, manifest: Manifest, spec: BatchSpec, settings: Dali) -> None:
        self._manifest, self._spec, self._settings = manifest, spec, settings

    def decode(self, cores: int) -> Run:
        """Run the graph on the bytes of the sample, on as many threads as cores."""
        settings = self._settings.model_copy(update={"num_threads": cores})
        return repeated(self._decoded(Graph(self._spec, settings, reads_files=False)))

    def finish(self, cores: int) -> Run:
        """Augment batches and bring them into the value range; on one core."""
        return repeated(self._finished())

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

    def _finished(self) -> Iterator[int]:
        size, side = self._spec.batch_size, self._spec.image_size
        finish, draws = finish_of(self._spec, self._settings), drawn(size, self._spec)
        batch = np.full((size, side, side, 3), 127, np.uint8)
        while True:
            finish(batch, draws)
            yield size
