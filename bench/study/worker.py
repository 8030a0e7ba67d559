"""The child process of one training of a study.

It reads one line of JSON from its standard input and answers with one for each epoch and its end.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from feedbench.bench.analysis.best import Best
from feedbench.bench.signals import stop_on_sigterm
from feedbench.bench.training.train import Keep, Watch, train
from feedbench.bench.trials.worker import die_with_parent, reason, take_output
from feedbench.loaders import Manifest
from feedbench.trainer import Recipe
from feedbench.trainer.errors import TrainerError
from feedbench.trainer.fit import TrainingStopped


def main() -> None:
    """Train as ordered."""
    answers = take_output()
    die_with_parent()

    def answer(event: str, **values: Any) -> None:
        print(json.dumps({"event": event, **values}), file=answers, flush=True)

    order = json.loads(sys.stdin.readline())
    with stop_on_sigterm() as stop:
        watch = Watch(
            on_start=lambda at: answer("started", epoch=at.epoch),
            on_epoch=lambda epoch: answer("epoch", **asdict(epoch)),
            on_step=lambda step: None,
            stop=stop,
        )
        try:
            result = _trained(order, watch)
        except TrainingStopped:
            answer("stopped")
        except TrainerError as error:
            answer("error", reason=str(error))
        except Exception as error:
            answer("error", reason=reason(error))
            raise
        else:
            answer("done", test=result["test"])


def _trained(order: dict[str, Any], watch: Watch) -> dict[str, Any]:
    return train(
        Best.model_validate(order["best"]),
        Recipe.model_validate(order["recipe"]),
        Manifest.read(Path(order["manifest"])),
        Path(order["folder"]),
        watch=watch,
        keep=Keep(tensorboard=False),
        resume=order["resume"],
    )


if __name__ == "__main__":
    main()
