"""The command line: which commands there are, and what an error means to the shell."""

from __future__ import annotations

import errno
import sys
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer
from typer.core import TyperGroup

from feedbench.bench.commands.output import prepare_streams
from feedbench.bench.errors import (
    INTERRUPTED,
    NOTHING_DONE,
    WRONG_USE,
    BenchError,
    InterruptedRun,
)

START, DATA, MEASURE, TRAIN, REFERENCE = "Start here", "Data", "Measure", "Train", "Reference"


class Entry(NamedTuple):
    """A command as `feedbench --help` lists it; its module is imported only when it is used.

    Attributes:
        module: in `feedbench.bench.commands`; the command is its function of the same name.
        panel: the group of commands that it is listed in.
        example: arguments that make sense.
    """

    module: str
    panel: str
    summary: str
    example: str


COMMANDS = {
    "quickstart": Entry(
        "quickstart",
        START,
        "Try the main job on generated photos: measure, diagnose, train with the winner.",
        "--out first-try",
    ),
    "scan": Entry(
        "scan",
        DATA,
        "Check every image with every decoder and report what cannot be read.",
        "photos/ --bad > blacklist.csv",
    ),
    "make-data": Entry(
        "make_data",
        DATA,
        "Generate photos with natural statistics, one folder per class.",
        "photos/ --images 1000 --preset web",
    ),
    "pack": Entry(
        "pack",
        DATA,
        "Prepare all images once for the loader packed, or check a finished pack.",
        "photos/ packed/ --as arrays --image-size 224",
    ),
    "pixels": Entry(
        "pixels",
        DATA,
        "Compare the pixels of several loaders, image by image.",
        "photos/ --loader keras_pil --loader tf_data --set tf_data.decode=image,jpeg,scaled "
        "--sheet worst.png",
    ),
    "bench": Entry(
        "bench",
        MEASURE,
        "Measure how fast each loader feeds the trainer, and choose the best.",
        "photos/ --suite quick --alpha 0.35 --image-size 96 --batch-size 64",
    ),
    "tune": Entry(
        "tune",
        MEASURE,
        "Search for the best loader and settings within a time budget.",
        "photos/ --consumer emulated:a100 --budget 5m --max-memory 8",
    ),
    "diagnose": Entry(
        "diagnose",
        MEASURE,
        "Find the bottleneck by measuring every part alone, and predict what would remove it.",
        "photos/ --loader keras_pil --consumer emulated:a100",
    ),
    "limits": Entry(
        "limits",
        MEASURE,
        "Measure decoding, copying and the disk alone, and each loader's share of its limit.",
        "photos/ --set packed.pack=packed/",
    ),
    "batch-size": Entry(
        "batch_size",
        MEASURE,
        "Find the largest batch size that fits into memory and the smallest that is fast.",
        "photos/ --image-size 224 --max 1024",
    ),
    "calibrate": Entry(
        "calibrate",
        MEASURE,
        "Measure this machine's accelerator and save it as a profile to emulate.",
        "my-gpu --batch-size 192 --image-size 224",
    ),
    "selftest": Entry(
        "selftest",
        MEASURE,
        "Check the measurements against known delays, counts and injected bottlenecks.",
        "--short",
    ),
    "show": Entry(
        "show",
        MEASURE,
        "Show the tables of an earlier result again, and draw one trial over time.",
        "results/bench-20260101-120000",
    ),
    "train": Entry(
        "train",
        TRAIN,
        "Train from scratch or fine-tune, and compare the rate with the predicted one.",
        "photos/ --loader best.toml --epochs 20",
    ),
    "study": Entry(
        "study",
        TRAIN,
        "Train one recipe over a small grid with several seeds; say which differences are real.",
        "ranges.toml --out results/ranges",
    ),
    "compare-training": Entry(
        "compare_training",
        TRAIN,
        "Compare two trainings: accuracy, recall of each class, time and rate.",
        "results/scratch results/tuned",
    ),
    "predict": Entry(
        "predict",
        TRAIN,
        "Print the class that a saved model predicts for each image.",
        "results/run/model.keras one.jpg two.webp",
    ),
    "recipe": Entry(
        "recipe",
        REFERENCE,
        "Print a recipe file with every field, its default and what it does.",
        "> recipe.toml",
    ),
    "loaders": Entry(
        "loaders",
        REFERENCE,
        "List the loaders and their settings: allowed values, defaults and costs.",
        "",
    ),
    "accelerators": Entry(
        "accelerators",
        REFERENCE,
        "List the accelerators that can be emulated, and the sources of their rates.",
        "",
    ),
}


class Commands(TyperGroup):
    """A group that lists its commands from the table and imports only the one that is used."""

    def invoke(self, context: Any) -> Any:
        """Run the command; what typer's own check of a value says is put in our words."""
        try:
            return super().invoke(context)
        except typer.BadParameter as error:
            text = error.message.removeprefix("Value error, ")
            error.message = text.replace("Input should be", "must be")
            raise

    def resolve_command(self, context: Any, arguments: list[str]) -> Any:
        """The command that the arguments begin with, in the place of its entry."""
        if arguments[0] in COMMANDS:
            self.commands[arguments[0]] = typer.main.get_command(_app_of(arguments[0]))
        return super().resolve_command(context, arguments)


def _app_of(name: str) -> typer.Typer:
    """A program of one command, its help the summary and the function's own docstring."""
    entry = COMMANDS[name]
    module = import_module(f"feedbench.bench.commands.{entry.module}")
    command = getattr(module, name.replace("-", "_"))
    only = typer.Typer(add_completion=False)
    _add(only, name, f"{entry.summary}\n\n{command.__doc__}")(command)
    return only


def _add(to: typer.Typer, name: str, text: str) -> Any:
    entry = COMMANDS[name]
    example = f"Example: feedbench {name} {entry.example}".rstrip()
    return to.command(name, help=text, epilog=example, rich_help_panel=entry.panel)


app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["--help", "-h"]},
)
for _name, _entry in COMMANDS.items():
    _add(app, _name, _entry.summary)(lambda: None)


def _print_version(wanted: bool) -> None:
    if wanted:
        from platform import python_version

        print(f"feedbench {_installed('feedbench')}")
        print(f"Python {python_version()}, TensorFlow {_installed('tensorflow')}")
        raise typer.Exit


def _installed(package: str) -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


@app.callback()
def feedbench(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Show the versions and exit."
        ),
    ] = False,
) -> None:
    """Measure how fast each input pipeline feeds your trainer, choose the best, train with it."""


def main() -> None:
    """Run the command; a user's mistake is one line, never a traceback."""
    prepare_streams()
    try:
        try:
            app()
        finally:
            sys.stdout.flush()
    except OSError as error:
        _fail_of_system(error)
    except Exception as error:
        _fail(str(error), _exit_code(error))


def _exit_code(error: Exception) -> int:
    """What the error means to the shell; one that is no user's mistake is raised again."""
    # Imported here: `--help` must not wait for what the loaders import.
    from feedbench.loaders.errors import ImageError, LoaderError
    from feedbench.trainer.errors import CheckpointError, DivergedError, TrainerError

    if isinstance(error, ImageError | CheckpointError | DivergedError):
        return NOTHING_DONE
    if isinstance(error, InterruptedRun):
        return INTERRUPTED
    if isinstance(error, BenchError | LoaderError | TrainerError):
        return WRONG_USE
    raise error


def _fail_of_system(error: OSError) -> None:
    """A full disk, a reader that left, a folder that was removed; anything else is raised again."""
    if error.errno == errno.EPIPE:
        sys.exit(NOTHING_DONE)
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        _fail(f"{error.strerror}: the output or the results are not complete", NOTHING_DONE)
    if not _folder_exists():
        _fail("the current folder was removed; change to another one", WRONG_USE)
    raise error


def _folder_exists() -> bool:
    try:
        Path.cwd()
    except FileNotFoundError:
        return False
    return True


def _fail(text: str, code: int) -> None:
    print(f"feedbench: {text}", file=sys.stderr)
    sys.exit(code)


if __name__ == "__main__":
    main()
