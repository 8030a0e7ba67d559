"""Two processes, each a loader in front of an accelerator: the rate that plan predicts and theirs.

They share this machine's cores, or have one each, like two hosts with one core.

Usage: python two.py PHOTOS OUT [SECONDS]
"""

from __future__ import annotations

import csv
import itertools
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path
from time import monotonic, sleep
from typing import Any

from feedbench.bench.consumers.emulated import EmulatedAccelerator
from feedbench.bench.plan.accelerators import find_accelerator
from feedbench.loaders import BatchSpec, images_in, open_loader, scan

LOADER, SIZES = "turbo", {"batch_size": 64, "image_size": 224}
ACCELERATORS = ("v100", "a100", "rtx3090")
ROUNDS = 5
WARM_UP_S = 3.0


def feed(photos: str, name: str, seconds: float) -> None:
    """Warm up, then count the images of each window whose start arrives on standard input."""
    spec = BatchSpec(**SIZES)
    device = EmulatedAccelerator(find_accelerator(name).seconds_per_image(spec.image_size))
    with open_loader(LOADER, scan(photos).only("train"), spec, {}, epochs=None) as batches:
        until(batches, device, monotonic() + WARM_UP_S)
        print("ready", flush=True)
        for line in sys.stdin:
            sleep(max(0.0, float(line) - monotonic()))
            print(until(batches, device, float(line) + seconds), flush=True)


def until(batches: Any, device: EmulatedAccelerator, end: float) -> float:
    """Feed the device until a moment; return images per second, from idle to idle."""
    begin, images = monotonic(), 0
    while monotonic() < end:
        batch = next(batches)
        device.step(batch)
        images += images_in(batch)
    device.finish()
    return images / (monotonic() - begin)


def together(photos: str, name: str, seconds: float, hosts: int) -> list[float]:
    """Return the rate of two processes together, in each round."""
    words = [sys.executable, __file__, "feed", photos, name, str(seconds)]
    cores = [str(core) for core in sorted(os.sched_getaffinity(0))[:2]]
    pair = [
        subprocess.Popen(
            [*words, *([core] if hosts > 1 else [])],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for core in cores
    ]
    try:
        for process in pair:
            _answer(process)
        return [_round(pair) for _ in range(ROUNDS)]
    finally:
        for process in pair:
            process.communicate(timeout=30)


def _round(pair: list[subprocess.Popen[str]]) -> float:
    start = monotonic() + 0.2
    for process in pair:
        assert process.stdin
        process.stdin.write(f"{start}\n")
        process.stdin.flush()
    return sum(float(_answer(process)) for process in pair)


def _answer(process: subprocess.Popen[str]) -> str:
    assert process.stdout
    return process.stdout.readline().strip()


def run(*words: str) -> None:
    """Run a command of feedbench."""
    subprocess.run([sys.executable, "-m", "feedbench.bench.cli", *words], check=True)


def compare(photos: str, out: Path, seconds: float) -> list[dict[str, Any]]:
    """Diagnose one process; predict and measure two, for each accelerator."""
    sizes = [f"--{name.replace('_', '-')}={value}" for name, value in SIZES.items()]
    measured = ["--loader", LOADER, "--consumer", "emulated:v100", "--seconds", "60"]
    run("diagnose", photos, *measured, *sizes, "--no-flip", "--out", str(out / "diagnosis"))
    rows = []
    for name, hosts in itertools.product(ACCELERATORS, (1, 2)):
        place = out / (name if hosts == 1 else f"{name}-two-hosts")
        source = ["--from", str(out / "diagnosis"), "--hosts", str(hosts)]
        source += ["--cores", "1"] if hosts > 1 else []
        run("plan", photos, "--accelerator", f"{name}:2", *source, "--out", str(place))
        planned = json.loads((place / "plan.json").read_text())
        rates = together(photos, name, seconds, hosts)
        predicted, median = planned["images_per_second"]["likely"], statistics.median(rates)
        rows.append(
            {
                "accelerators": f"2 × {name}",
                "hosts": hosts,
                "predicted": predicted,
                "limit": planned["limit"],
                "measured": median,
                "rates": rates,
                "error": predicted / median - 1,
            }
        )
        print({key: value for key, value in rows[-1].items() if key != "rates"}, flush=True)
    return rows


def write_csv(rows: list[dict[str, Any]], path: Path) -> None:
    """Write one row per pair of accelerators; the rates of its rounds are separated by spaces."""
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0].keys())
        writer.writeheader()
        for row in rows:
            writer.writerow({**row, "rates": " ".join(f"{rate:.1f}" for rate in row["rates"])})


if __name__ == "__main__":
    if sys.argv[1] == "feed":
        if sys.argv[5:]:
            os.sched_setaffinity(0, {int(sys.argv[5])})
        feed(sys.argv[2], sys.argv[3], float(sys.argv[4]))
    else:
        photos, folder, *rest = sys.argv[1:]
        Path(folder).mkdir(parents=True, exist_ok=True)
        result = compare(photos, Path(folder), float(rest[0]) if rest else 6.0)
        write_csv(result, Path(folder) / "two.csv")
