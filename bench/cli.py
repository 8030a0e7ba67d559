"""The command line: the commands, and what an error means to the shell."""

from __future__ import annotations

import sys

import typer

from feedbench.bench.commands import (
    batch_size,
    bench,
    calibrate,
    compare_training,
    diagnose,
    limits,
    make_data,
    pack,
    pixels,
    predict,
    quickstart,
    recipe,
    scan,
    selftest,
    show,
    study,
    train,
    tune,
)
from feedbench.bench.commands.output import INTERRUPTED, NOTHING_DONE, WRONG_USE

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
)(bench.bench)
app.command(
    epilog="Example: feedbench tune photos/ --consumer emulated:a100 --budget 5m --max-memory 8"
)(tune.tune)
app.command(
    epilog="Example: feedbench diagnose photos/ --loader keras_pil --consumer emulated:a100"
)(diagnose.diagnose)
app.command(epilog="Example: feedbench show results/bench-20260101-120000")(show.show)
app.command(epilog="Example: feedbench train photos/ --loader best.toml --epochs 20")(train.train)
app.command(
    "compare-training", epilog="Example: feedbench compare-training results/scratch results/tuned"
)(compare_training.compare_training)
app.command(epilog="Example: feedbench study ranges.toml --out results/ranges")(study.study)
app.command(epilog="Example: feedbench predict results/run/model.keras one.jpg two.webp")(
    predict.predict
)
app.command(epilog="Example: feedbench limits photos/ --set packed.pack=packed/")(limits.limits)
app.command(
    "batch-size", epilog="Example: feedbench batch-size photos/ --image-size 224 --max 1024"
)(batch_size.batch_size)
app.command(epilog="Example: feedbench calibrate my-gpu --batch-size 192 --image-size 224")(
    calibrate.calibrate
)
app.command(epilog="Example: feedbench accelerators")(calibrate.accelerators)
app.command(epilog="Example: feedbench selftest --short")(selftest.selftest)
app.command(epilog="Example: feedbench recipe > recipe.toml")(recipe.recipe)
app.command("make-data", epilog="Example: feedbench make-data photos/ --images 1000 --preset web")(
    make_data.make_data
)
app.command(epilog="Example: feedbench pack photos/ packed/ --as arrays --image-size 224")(
    pack.pack
)
app.command(epilog="Example: feedbench loaders")(make_data.loaders)
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
    from feedbench.bench.errors import BenchError, InterruptedRun
    from feedbench.loaders.errors import ImageError, LoaderError
    from feedbench.trainer.errors import CheckpointError, DivergedError, TrainerError

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
