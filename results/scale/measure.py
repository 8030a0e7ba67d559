"""Time and memory of the commands with very many images and classes.

    python results/scale/measure.py OUT [--rows 1300000,14000000] [--files 200000] [--folder TMP]
        [--only limits,tune,pack]

Writes OUT/measured.md and OUT/measured.json: a line per command with seconds, CPU seconds, and the
peak memory of its largest process (`ru_maxrss` of wait4, which includes the processes it waited
for). The data are made in a temporary folder and removed.
"""

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from time import perf_counter

import data

PARTS = Path(__file__).with_name("parts.py")
CLASSES = {"1,300,000 rows": 1_000, "14,000,000 rows": 21_841}
NEEDED = ("list",)  # for the others, also with --only
SMALL = ["--image-size", "32", "--batch-size", "64"]
ONLY: set[str] = set()
BLOCKS = ["--blocks", "2", "--block-seconds", "1", "--warm-up-seconds", "1"]


@dataclass
class Line:
    """One command.

    Attributes:
        peak_mb: of its largest process.
        said: its last line.
    """

    data: str
    command: str
    seconds: float
    cpu_s: float
    peak_mb: float
    code: int
    said: str


def main() -> None:
    """Measure, and write the table after each command."""
    parser = argparse.ArgumentParser()
    parser.add_argument("out", type=Path)
    parser.add_argument("--rows", default="1300000,14000000")
    parser.add_argument("--files", type=int, default=200_000)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--only", default="")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    lines: list[Line] = []
    ONLY.update(filter(None, options.only.split(",")))
    for line in filter(None, each(options)):
        lines.append(line)
        sys.stderr.write(f"{row(line)}\n")
        write(options.out, lines)


def each(options: argparse.Namespace) -> Iterator[Line | None]:
    """Yield a line per command, with the files, then with the rows."""
    if options.files:
        with place(options.folder) as folder:
            yield from with_files(data.files(folder, options.files, 1_000), options.files)
    for count in filter(None, map(int, options.rows.split(","))):
        name = f"{count:,} rows"
        with place(options.folder) as folder:
            yield from with_rows(name, data.linked(folder, count, CLASSES.get(name, 1_000)))


def with_files(root: Path, count: int) -> Iterator[Line | None]:
    """All commands on real files."""
    name = f"{count:,} files"
    yield part(name, "list", root)
    yield feedbench(name, "scan", root)
    yield feedbench(name, "scan", root, label="scan again")
    yield from commands(name, root)
    cold = ["--loader", "turbo", "--consumer", "drain", "--cache-state", "cold", *SMALL, *BLOCKS]
    yield feedbench(name, "bench", root, *cold, label="bench, cold")
    pack = root.parent / "arrays"
    yield feedbench(name, "pack", root, str(pack), "--image-size", "32")
    yield feedbench(name, "pack", root, str(pack), "--image-size", "32", label="pack, checked")
    shards = str(root.parent / "shards")
    yield feedbench(name, "pack", root, shards, "--as", "webdataset", label="pack, shards")


def with_rows(name: str, root: Path) -> Iterator[Line | None]:
    """All commands on rows whose files have been scanned."""
    yield part(name, "list", root)
    # In a process of its own: the memory of this one counts as that of each process it starts.
    subprocess.run([sys.executable, PARTS, "known", root], check=True)
    for one in ("read", "start", "order", "balance", "report"):
        yield part(name, one, root)
    yield feedbench(name, "scan", root, label="scan, files known")
    yield from commands(name, root)
    yield part(name, "pack", root)


def commands(name: str, root: Path) -> Iterator[Line | None]:
    """The commands that measure."""
    drain = ["--loader", "turbo", "--consumer", "drain", "--no-tensorboard", *SMALL, *BLOCKS]
    yield feedbench(name, "bench", root, *drain)
    consumer = ["--consumer", "emulated:a100", "--seconds", "1", "--no-tensorboard"]
    yield feedbench(name, "diagnose", root, "--loader", "turbo", *consumer, *SMALL)
    yield feedbench(name, "limits", root, "--loader", "turbo", *SMALL, *BLOCKS[:4])
    yield feedbench(name, "tune", root, "--loader", "turbo", "--budget", "60s", *SMALL)


def part(name: str, command: str, root: Path) -> Line | None:
    """A part of a command."""
    return run(name, command, [str(PARTS), command, str(root)], root)


def feedbench(name: str, command: str, root: Path, *options: str, label: str = "") -> Line | None:
    """A command as users run it."""
    arguments = ["-m", "feedbench.bench.cli", command, str(root), *options]
    return run(name, label or command, arguments, root)


def run(name: str, command: str, arguments: list[str], root: Path) -> Line | None:
    """Run one Python process to its end; None if it was not asked for."""
    if ONLY and command not in {*ONLY, *NEEDED}:
        return None
    log, begin = root.parent / "output.txt", perf_counter()
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, *arguments], cwd=root.parent, stdout=output, stderr=output
        )
        _, status, used = os.wait4(process.pid, 0)
    seconds, code = perf_counter() - begin, os.waitstatus_to_exitcode(status)
    process.returncode = code
    said = (log.read_text("utf-8", "replace").strip().splitlines() or [""])[-1]
    said = said.replace(str(root.parent), "…")
    cpu_s = used.ru_utime + used.ru_stime
    return Line(
        name, command, round(seconds, 1), round(cpu_s, 1), round(used.ru_maxrss / 1e3), code, said
    )


class place:  # noqa: N801
    """A temporary folder, with a cache of its own inside."""

    def __init__(self, parent: Path | None) -> None:
        self._parent = parent

    def __enter__(self) -> Path:
        self._folder = Path(tempfile.mkdtemp(prefix="scale-", dir=self._parent))
        os.environ["FEEDBENCH_CACHE"] = str(self._folder / "cache")
        return self._folder

    def __exit__(self, *_: object) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)


HEADER = "| data | command | seconds | CPU seconds | peak MB | |\n|---|---|---:|---:|---:|---|"


def row(line: Line) -> str:
    """A line of the table."""
    failed = "" if line.code == 0 else f"exit {line.code}: "
    said = f"{failed}{line.said}"[:100].replace("|", "/")
    return (
        f"| {line.data} | {line.command} | {line.seconds:,.1f} | {line.cpu_s:,.1f} | "
        f"{line.peak_mb:,.0f} | {said} |"
    )


def write(out: Path, lines: list[Line]) -> None:
    """Write the table and the raw values."""
    (out / "measured.md").write_text("\n".join([HEADER, *map(row, lines)]) + "\n")
    machine = {"cores": os.cpu_count(), "python": platform.python_version()}
    values = {"machine": machine, "lines": [asdict(line) for line in lines]}
    (out / "measured.json").write_text(json.dumps(values, indent=1) + "\n")


if __name__ == "__main__":
    main()
