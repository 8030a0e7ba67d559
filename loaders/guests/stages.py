"""The parts of a loader whose worker processes read, decode and resize file by file."""

from __future__ import annotations

from dataclasses import replace

from feedbench.loaders.contract import BatchSpec
from feedbench.loaders.guests.images import Images
from feedbench.loaders.guests.map_style import DecodingSettings
from feedbench.loaders.manifest import Manifest
from feedbench.loaders.stages.pool import decoding_stages
from feedbench.loaders.stages.stage import Stages, sample, whole_files


def image_stages(manifest: Manifest, spec: BatchSpec, settings: DecodingSettings) -> Stages:
    """Return stages that read the files, and decode and resize them as the workers do."""
    images = Images(manifest, spec, settings.decoder, settings.decode)

    def items() -> list[tuple[int, bytes, bytes]]:
        rows, files = sample(manifest)
        return list(zip(rows.tolist(), manifest.paths(rows), files, strict=True))

    stages = decoding_stages(
        whole_files(manifest), spec, settings.output, items, lambda item: images.decoded(*item)
    )
    return replace(stages, concurrency=settings.concurrency)
