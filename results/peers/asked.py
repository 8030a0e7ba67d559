"""The figures that the loaders of Feedbench are to reach beside other libraries, as Markdown.

Usage: python asked.py OUT, the folder that measure.sh wrote. Runs that are missing leave dashes.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from ratios import Trials, as_text, rate, ratio, timed

from feedbench.bench.analysis.estimate import Estimate
from feedbench.loaders import LOADERS

FULL, SCALED, DIRECTORY = "turbo decode=full", "turbo decode=scaled", "keras_directory"
LIMIT, COPY = "libjpeg_turbo decode=full", "memory_copy"
ARRAYS, JPEGS = "packed pack=arrays", "packed pack=jpeg"
RAW, JPG = (
    f"ffcv pack_dir=../ffcv write_mode={mode} copy_batches=false" for mode in ("raw", "jpg")
)
DATA = ("clothing", "imagenet")
RUNS = tuple(f"{data}-{batches}" for batches in ("32", "192") for data in DATA)


class Asked(NamedTuple):
    """One line of the table.

    Attributes:
        compared: returns the trial and the one to compare it with; empty names if there is none.
        least: the ratios to reach on each data set; of guests, what all have to stay below.
        runs: beginnings of the names of the runs.
    """

    what: str
    compared: Callable[[Trials], tuple[str, str]]
    least: tuple[float, float]
    runs: tuple[str, ...] = RUNS
    is_below: bool = False


def fastest(trials: Trials, loader: str) -> str:
    """Return the fastest trial of a loader; empty if it has none."""
    names = [name for name, one in trials.items() if one.loader == loader]
    return max(names, key=lambda name: rate(trials[name]), default="")


def fastest_live_guest(trials: Trials) -> str:
    """Return the fastest loader of another library that decodes the original files."""
    guests = [
        name
        for name, one in trials.items()
        if one.loader in LOADERS and LOADERS[one.loader].is_guest and one.loader != "ffcv"
    ]
    return max(guests, key=lambda name: rate(trials[name]), default="")


LINES = (
    Asked("`turbo`, full decoding ÷ libjpeg-turbo alone", lambda _: (FULL, LIMIT), (0.93, 0.96)),
    Asked("`turbo decode=scaled` ÷ `keras_directory`", lambda _: (SCALED, DIRECTORY), (1.5, 1.35)),
    Asked(
        "`tf_data` at its best ÷ `keras_directory`",
        lambda trials: (fastest(trials, "tf_data"), DIRECTORY),
        (1.05, 1.05),
    ),
    Asked("`packed` JPEGs ÷ FFCV's JPEGs", lambda _: (JPEGS, JPG), (1.15, 1.15)),
    Asked("`packed` arrays ÷ FFCV's raw pixels", lambda _: (ARRAYS, RAW), (3, 3)),
    Asked("`packed` arrays ÷ a copy in memory", lambda _: (ARRAYS, COPY), (0.8, 0.8)),
    Asked(
        "the fastest live loader of another library ÷ `turbo`",
        lambda trials: (fastest_live_guest(trials), FULL),
        (1, 1),
        is_below=True,
    ),
    Asked(
        "`webdataset` ÷ `turbo` on the same shards",
        lambda trials: (fastest(trials, "webdataset"), FULL),
        (1, 1),
        runs=tuple(f"{data}-shards" for data in DATA),
        is_below=True,
    ),
    Asked(
        "random-resized crops: `turbo` ÷ `tf_data` with `decode_and_crop_jpeg`",
        lambda _: (FULL, "tf_data decode=jpeg"),
        (1.5, 1.5),
        runs=tuple(f"{data}-regions" for data in DATA),
    ),
    Asked(
        "random-resized crops: `turbo` ÷ `tf_data`, both `decode=scaled`",
        lambda _: (SCALED, "tf_data decode=scaled"),
        (1.5, 1.5),
        runs=tuple(f"{data}-regions" for data in DATA),
    ),
)


def verdict(estimate: Estimate | None, limit: float, *, is_below: bool) -> str:
    """Return whether a ratio reaches its limit: yes and no need the whole interval."""
    if estimate is None:
        return "–"
    if estimate.lies_below(limit):
        return "yes" if is_below else "no"
    if estimate.lies_above(limit):
        return "no" if is_below else "yes"
    return "cannot tell" if estimate.interval is not None else "too few blocks"


def rows(out: Path) -> Iterator[tuple[str, ...]]:
    """Yield what is asked, in which run, how much, what was measured and whether that is enough."""
    for line in LINES:
        for run in line.runs:
            trials = timed(out / run) if (out / run / "trials.jsonl").exists() else {}
            name, reference = line.compared(trials)
            found = ratio(trials, name, reference)
            limit = line.least[run.startswith(DATA[1])]
            asked = f"{'<' if line.is_below else '≥'} {limit:g}"
            said = verdict(found, limit, is_below=line.is_below)
            yield line.what, run, asked, as_text(found), said, f"`{name}`" if name else "–"


def main(out: Path) -> None:
    """Print the table."""
    print("| | run | asked | ratio [95 %] | reached | trial |\n|---|---|---|---|---|---|")
    for row in rows(out):
        print("|", " | ".join(row), "|")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
