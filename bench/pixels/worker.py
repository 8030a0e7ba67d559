"""The child process of a pixel check, so that the parent does not import TensorFlow."""

from __future__ import annotations

from feedbench.bench.pixels.compare import compare, random_rows
from feedbench.bench.pixels.contact_sheet import ContactSheet
from feedbench.bench.pixels.messages import Comparison, LoaderStarted, PixelJob
from feedbench.bench.pixels.reasons import find_reason
from feedbench.bench.trials.serve import Channel, serve
from feedbench.loaders import Manifest


def compare_pixels(job: PixelJob, channel: Channel) -> None:
    """Compare, write the contact sheet if requested, and answer with the result."""
    sheet = ContactSheet()
    comparison = compare(
        job.choices,
        random_rows(Manifest.read(job.manifest), job.images, job.seed),
        job.spec,
        tolerance=job.tolerance,
        worst_images=job.worst_images,
        on_error=job.on_error,
        on_reading=lambda name: channel.answer(LoaderStarted(name=name)),
        explain=find_reason,
        draw=sheet.add,
    )
    if job.sheet:
        sheet.write(job.sheet, comparison.reference)
    channel.answer(Comparison(pixels=comparison))


if __name__ == "__main__":
    serve(PixelJob, compare_pixels)
