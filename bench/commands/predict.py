"""predict: the classes of image files by a saved model."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from feedbench.bench.commands.options import Json
from feedbench.bench.commands.output import console, redirect_library_output
from feedbench.bench.errors import NOTHING_DONE


def predict(
    model: Annotated[
        Path, typer.Argument(metavar="MODEL", help="The model.keras or best.keras of a training.")
    ],
    files: Annotated[list[str], typer.Argument(metavar="FILES...", help="Image files.")],
    builder: Annotated[
        str | None,
        typer.Option(
            "--model",
            metavar="FILE.py:FUNCTION",
            help="For a model with layers or classes of your own: the function that built it. Its "
            "file is imported.",
        ),
    ] = None,
    json: Json = None,
) -> None:
    """The probability of the class is printed too; a file that fails is reported and skipped."""
    from feedbench.bench.files import write_json
    from feedbench.bench.training.predict import load_classifier
    from feedbench.loaders import printable

    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    terminal, predictions = console(), []
    with redirect_library_output(Path(os.devnull)):  # TensorFlow's messages at any log level
        classifier = load_classifier(model, builder)
    for prediction in classifier.predict(files):
        predictions.append(prediction)
        if prediction.error is None:
            name, predicted = printable(prediction.path), printable(str(prediction.predicted))
            line = f"{name}: {predicted} {prediction.probability:.1%}"
            terminal.print(line, highlight=False, markup=False, soft_wrap=True)
        else:
            typer.echo(f"feedbench: {prediction.error}", err=True)
    if json is not None:
        write_json(json, [prediction.model_dump() for prediction in predictions])
    if all(prediction.error is not None for prediction in predictions):
        raise typer.Exit(NOTHING_DONE)
