"""Names of what each process of a diagnosis measures, for a progress display."""

from __future__ import annotations

from feedbench.bench.diagnose.fixed import settings_text
from feedbench.bench.diagnose.record import Part


def process_text(part: Part | None, consumer: str) -> str:
    """Return what a process measures.

    Args:
        part: that it measures; None for the process of all stages.
        consumer: what takes the batches, as in the record.
    """
    if part is None:
        return "the stages of the loader, each alone"
    taker = "the trainer" if consumer == "train" else "the accelerator"
    texts: dict[str, str] = {
        "loader": "the loader alone",
        "loader, other size": "the loader alone at another image size",
        "fixed": f"the loader alone with {settings_text(part.settings or {})}",
        "reference": "the same images, decoded by TensorFlow",
        "transfer": "the copy to the device alone",
        "consumer": f"{taker} alone",
        "end to end": f"the loader and {taker} together",
        "rewritten": f"your pipeline without: {part.mistake}",
    }
    state = f", {part.cache_state} files" if part.cache_state else ""
    return texts[part.name] + state
