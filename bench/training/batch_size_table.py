"""What is printed of the batch sizes that were tried."""

from __future__ import annotations

from collections.abc import Iterator

from feedbench.bench.report.document import Column, Line, Part, TableData, only_csv, words
from feedbench.bench.report.table import sizes
from feedbench.bench.training.batch_size import HEADROOM, BatchSizes, SizeResult


def parts(result: BatchSizes) -> Iterator[Part]:
    """Yield what is printed: a row per size, and the recommendation."""
    yield TableData(
        name="batch-sizes",
        columns=[
            Column("batch", "batch_size", lambda row: row.batch_size),
            only_csv("fits", lambda row: row.fits),
            Column("images/s", "images_per_second", lambda row: row.images_per_second, "{:,.1f}"),
            Column(
                "slowest\nblock", "images_per_second_slowest", lambda row: row.low, "{:,.1f}", 1
            ),
            Column(
                "fastest\nblock", "images_per_second_fastest", lambda row: row.high, "{:,.1f}", 1
            ),
            sizes("host\nmemory", "host_bytes", lambda row: row.host_bytes),
            sizes("GPU\nmemory", "device_bytes", lambda row: row.device_bytes),
            words("does not fit because", "why_not", lambda row: row.why),
        ],
        rows=result.tried,
    )
    yield recommendation(result)


def result_line(result: SizeResult) -> str:
    """Return the result for one size as a line, printed as soon as it is known."""
    if not result.fits:
        return f"{result.batch_size:>5}  does not fit: {result.why}"
    assert result.images_per_second is not None
    assert result.low is not None
    assert result.high is not None
    assert result.host_bytes is not None
    gpu = "–" if result.device_bytes is None else f"{result.device_bytes / 1e9:.2f} GB"
    return (
        f"{result.batch_size:>5}  fits  {result.images_per_second:>9,.1f} "
        f"[{result.low:,.1f}, {result.high:,.1f}] images/s  host memory "
        f"{result.host_bytes / 1e9:.2f} GB  GPU memory {gpu}"
    )


def recommendation(sizes: BatchSizes) -> Line:
    """Return which size to take."""
    memory = f"{sizes.memory_bytes / 1e9:.1f} GB of {'GPU' if sizes.on_device else 'host'} memory"
    if sizes.largest is None:
        text = (
            f"No batch size leaves {HEADROOM:.0%} of the {memory} free; try a smaller --min or "
            "--image-size."
        )
    else:
        text = (
            f"Largest batch size that leaves {HEADROOM:.0%} of the {memory} free: {sizes.largest}. "
            f"Smallest that is not certainly more than 2 % slower than the best: {sizes.smallest}."
        )
    return Line(text, "bold")
