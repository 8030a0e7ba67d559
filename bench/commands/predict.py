"""predict: the classes of image files by a saved model."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from feedbench.bench.commands.options import Json
from feedbench.bench.commands.output import console
from feedbench.bench.errors import NOTHING_DONE


def predict(
    model: Annotated[
        Path, typer.Argument(metavar="MODEL", help="The model.keras or best.keras of a training.")
    ],
    files: Annotated[list[str], typer.Argument(metavar="FILES...", help="Image files.")],
    json: Json = None,
) -> None:
    """The probability of the class is printed too; a file that fails is reported and skipped."""
    from feedbench.bench.files import write_json
    from feedbench.bench.training.predict import load_classifier

    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # hide its messages at start-up
    terminal, predictions = console(), []
    for prediction in load_classifier(model).predict(files):
        predictions.append(prediction)
        if prediction.error is None:
            line = f"{prediction.path}: {prediction.predicted} {prediction.probability:.1%}"
            terminal.print(line, highlight=False, markup=False, soft_wrap=True)
        else:
            typer.echo(f"feedbench: {prediction.error}", err=True)
    if json is not None:
        write_json(json, [prediction.model_dump() for prediction in predictions])
    if all(prediction.error is not None for prediction in predictions):
        raise typer.Exit(NOTHING_DONE)
