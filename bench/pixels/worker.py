"""The child process of a pixel check: TensorFlow stays out of the process that measures."""

from __future__ import annotations

from feedbench.bench.pixels.compare import compare, sampled
from feedbench.bench.pixels.contact_sheet import ContactSheet
from feedbench.bench.pixels.messages import Compared, PixelJob, Reading
from feedbench.bench.pixels.reasons import reason
from feedbench.bench.trials.serve import Channel, serve
from feedbench.loaders import Manifest


def compare_pixels(job: PixelJob, channel: Channel) -> None:
    """Compare, draw if asked to, answer."""
    sheet = ContactSheet()
    pixels = compare(
        job.choices,
        sampled(Manifest.read(job.manifest), job.images, job.seed),
        job.spec,
        tolerance=job.tolerance,
        worst=job.worst,
        on_error=job.on_error,
        started=lambda name: channel.answer(Reading(name=name)),
        explain=reason,
        show=sheet.add,
    )
    if job.sheet:
        sheet.write(job.sheet)
    channel.answer(Compared(pixels=pixels))


if __name__ == "__main__":
    serve(PixelJob, compare_pixels)
