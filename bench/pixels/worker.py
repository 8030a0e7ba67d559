"""The child process of a pixel check: TensorFlow stays out of the process that measures.

It reads one order from its standard input and answers with lines of JSON.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from feedbench.bench.errors import BenchError
from feedbench.bench.pixels.compare import compare, sampled
from feedbench.bench.pixels.contact_sheet import ContactSheet
from feedbench.bench.pixels.reasons import reason
from feedbench.bench.plan.plan import Choice
from feedbench.bench.trials.worker import die_with_parent, take_output
from feedbench.loaders import BatchSpec, LoaderError, Manifest


def main() -> None:
    """Serve one order."""
    answers = take_output()
    die_with_parent()

    def answer(event: str, **values: Any) -> None:
        print(json.dumps({"event": event, **values}), file=answers, flush=True)

    try:
        answer("done", pixels=_checked(json.loads(sys.stdin.readline()), answer))
    except (LoaderError, BenchError) as error:
        answer("error", reason=str(error))


def _checked(order: dict[str, Any], answer: Any) -> dict[str, Any]:
    sheet = ContactSheet()
    manifest = Manifest.read(Path(order["manifest"]))
    found = compare(
        [Choice.model_validate(choice) for choice in order["choices"]],
        sampled(manifest, order["images"], order["seed"]),
        BatchSpec.model_validate(order["spec"]),
        tolerance=order["tolerance"],
        worst=order["worst"],
        on_error=order["on_error"],
        started=lambda name: answer("loader", name=name),
        explain=reason,
        show=sheet.add,
    )
    if order["sheet"]:
        sheet.write(Path(order["sheet"]))
    return found.model_dump()


if __name__ == "__main__":
    main()
