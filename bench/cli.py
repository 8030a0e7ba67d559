"""The command line: the commands, and what an error means to the shell."""

from __future__ import annotations

import sys

import typer

from bench.commands import (
    calibrating,
    comparing,
    data,
    diagnosing,
    limiting,
    measure,
    packing,
    pixels,
    predicting,
    quickstart,
    recipes,
    scan,
    selftesting,
    sizing,
    studying,
    training,
    tuning,
)
from bench.commands.output import INTERRUPTED, NOTHING_DONE, WRONG_USE

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="How fast each input pipeline feeds your trainer, which one to take, and the training "
    "with it.",
)
app.command(epilog="Example: feedbench scan photos/ --bad > blacklist.csv")(scan.scan)
app.command(
    epilog="Example: feedbench pixels photos/ --loader keras_pil --loader tf_data "
    "--set tf_data.decode=image,jpeg,scaled --sheet worst.png"
)(pixels.pixels)
app.command(
    epilog="Example: feedbench bench photos/ --suite quick --alpha 0.35 --image-size 96 "
    "--batch-size 64"
)(measure.bench)
app.command(
    epilog="Example: feedbench tune photos/ --consumer emulated:a100 --budget 5m --max-memory 8"
)(tuning.tune)
app.command(
    epilog="Example: feedbench diagnose photos/ --loader keras_pil --consumer emulated:a100"
)(diagnosing.diagnose)
app.command(epilog="Example: feedbench show results/bench-20260101-120000")(measure.show)
app.command(epilog="Example: feedbench train photos/ --loader best.toml --epochs 20")(
    training.train
)
app.command(
    "compare-training", epilog="Example: feedbench compare-training results/scratch results/tuned"
)(comparing.compare_training)
app.command(epilog="Example: feedbench study ranges.toml --out results/ranges")(studying.study)
app.command(epilog="Example: feedbench predict results/run/model.keras one.jpg two.webp")(
    predicting.predict
)
app.command(epilog="Example: feedbench limits photos/ --set packed.pack=packed/")(limiting.limits)
app.command(
    "batch-size", epilog="Example: feedbench batch-size photos/ --image-size 224 --max 1024"
)(sizing.batch_size)
app.command(epilog="Example: feedbench calibrate my-gpu --batch-size 192 --image-size 224")(
    calibrating.calibrate
)
app.command(epilog="Example: feedbench accelerators")(calibrating.accelerators)
app.command(epilog="Example: feedbench selftest --short")(selftesting.selftest)
app.command(epilog="Example: feedbench recipe > recipe.toml")(recipes.recipe)
app.command("make-data", epilog="Example: feedbench make-data photos/ --images 1000 --preset web")(
    data.make_data
)
app.command(epilog="Example: feedbench pack photos/ packed/ --as arrays --image-size 224")(
    packing.pack
)
app.command(epilog="Example: feedbench loaders")(data.loaders)
app.command(epilog="Example: feedbench quickstart --out first-try")(quickstart.quickstart)


def main() -> None:
    """Run the command; a user's mistake is one line, never a traceback."""
    try:
        app()
    except Exception as error:
        _fail(str(error), _exit_code(error))


def _exit_code(error: Exception) -> int:
    """What the error means to the shell; one that is no user's mistake is raised again."""
    # Imported here: `--help` must not wait for what the loaders import.
    from bench.errors import BenchError, InterruptedRun
    from loaders.errors import ImageError, LoaderError
    from trainer.errors import CheckpointError, DivergedError, TrainerError

    if isinstance(error, ImageError | CheckpointError | DivergedError):
        return NOTHING_DONE
    if isinstance(error, InterruptedRun):
        return INTERRUPTED
    if isinstance(error, BenchError | LoaderError | TrainerError):
        return WRONG_USE
    raise error


def _fail(text: str, code: int) -> None:
    print(f"feedbench: {text}", file=sys.stderr)
    sys.exit(code)


if __name__ == "__main__":
    main()
