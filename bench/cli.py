"""The command line: the table of commands, and the exit code of each error."""

from __future__ import annotations

import errno
import sys
import warnings
from importlib import import_module
from pathlib import Path
from traceback import walk_tb
from typing import Annotated, Any, NamedTuple, TextIO

import typer
from typer.core import TyperGroup

from feedbench.bench import signals
from feedbench.bench.commands.output import prepare_streams
from feedbench.bench.errors import (
    INTERRUPTED,
    NOTHING_DONE,
    WRONG_USE,
    BenchError,
    InterruptedRun,
    PeerLost,
)

_python_shows = warnings.showwarning
START, DATA, MEASURE, TRAIN, REFERENCE = "Start here", "Data", "Measure", "Train", "Reference"


class Entry(NamedTuple):
    """A command as `feedbench --help` lists it; its module is imported only when it is used.

    Attributes:
        module: module in `feedbench.bench.commands` that has the command as a function.
        panel: heading under which the help lists the command.
        summary: one sentence for the list of commands.
        example: arguments of an example call.
    """

    module: str
    panel: str
    summary: str
    example: str


COMMANDS = {
    "quickstart": Entry(
        "quickstart",
        START,
        "Try Feedbench on generated photos: time the loaders, and train with the best.",
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
        "Generate photos to try things on, in train, validation and test.",
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
        "Find the bottleneck by measuring each part alone, and predict what would remove it.",
        "photos/ --loader keras_pil --consumer emulated:a100",
    ),
    "limits": Entry(
        "limits",
        MEASURE,
        "Measure what decoding, copying and the disk allow, and what each loader reaches of it.",
        "photos/ --set packed.pack=packed/",
    ),
    "plan": Entry(
        "plan",
        MEASURE,
        "Predict what a larger target needs: cores, storage, network, memory and shards.",
        "photos/ --accelerator a100:8 --cores 64 --storage 2000",
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
    "compare": Entry(
        "compare",
        MEASURE,
        "Compare two or more runs: which rates are faster or slower, and with what certainty.",
        "results/before results/after --fail-if-slower 5%",
    ),
    "report": Entry(
        "report",
        MEASURE,
        "Write earlier results as one HTML page with charts, to read or to send.",
        "results/bench-20260101-120000 --out report.html",
    ),
    "train": Entry(
        "train",
        TRAIN,
        "Train from scratch or fine-tune, and compare the rate with the predicted one.",
        "photos/ --loader best.toml --epochs 20",
    ),
    "export": Entry(
        "export",
        TRAIN,
        "Write the loader of a best.toml as Python code to put before your own training.",
        "best.toml --out input_pipeline.py",
    ),
    "study": Entry(
        "study",
        TRAIN,
        "Train one recipe over a grid with several seeds, and test which differences are real.",
        "ranges.toml --out results/ranges",
    ),
    "predict": Entry(
        "predict",
        TRAIN,
        "Print the class that a saved model predicts for each image.",
        "results/run/model.keras one.jpg two.webp",
    ),
    "serve": Entry(
        "serve",
        TRAIN,
        "Start a dispatcher or a worker of the tf.data service, for the loader tf_data_service.",
        "--worker 10.0.0.2:5051 --of 10.0.0.1:5050",
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
    """A command group that imports only the command that is used."""

    def invoke(self, context: Any) -> Any:
        """Run the command, with pydantic's error texts in plain words.

        A command whose output is read no more ends by SIGPIPE, like any other program.
        """
        try:
            return super().invoke(context)
        except BrokenPipeError:  # click would end with exit code 1
            signals.end_by_broken_pipe()
        except typer.BadParameter as error:
            text = error.message.removeprefix("Value error, ")
            error.message = text.replace("Input should be", "must be")
            raise

    def resolve_command(self, context: Any, arguments: list[str]) -> Any:
        """Import the command that the arguments begin with, and register it."""
        if arguments[0] in COMMANDS:
            self.commands[arguments[0]] = typer.main.get_command(command_app(arguments[0]))
        return super().resolve_command(context, arguments)


def command_app(name: str) -> typer.Typer:
    """Return an app with one command; its help is the summary and the function's docstring."""
    entry = COMMANDS[name]
    module = import_module(f"feedbench.bench.commands.{entry.module}")
    function = getattr(module, name.replace("-", "_"))
    single = typer.Typer(add_completion=False)
    _register(single, name, f"{entry.summary}\n\n{function.__doc__}")(function)
    return single


def _register(target: typer.Typer, name: str, text: str) -> Any:
    entry = COMMANDS[name]
    example = f"Example: feedbench {name} {entry.example}".rstrip()
    return target.command(name, help=text, epilog=example, rich_help_panel=entry.panel)


app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["--help", "-h"]},
)
for _name, _entry in COMMANDS.items():
    _register(app, _name, _entry.summary)(lambda: None)


def _print_version(requested: bool) -> None:
    if requested:
        from platform import python_version

        print(f"feedbench {_version_of('feedbench')}")
        print(f"Python {python_version()}, TensorFlow {_version_of('tensorflow')}")
        raise typer.Exit


def _version_of(package: str) -> str:
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
    """Measure how fast each input pipeline feeds your training, and train with the best."""


def main() -> None:
    """Run the command line; mistakes of the user are reported in one line, without a traceback."""
    prepare_streams()
    signals.interrupt_on_termination()
    warnings.showwarning = _warn
    try:
        try:
            app()
        finally:
            sys.stdout.flush()
    except SystemExit as end:
        if end.code == INTERRUPTED:  # Ctrl-C or a kill where a command had nothing to add
            _exit_with("interrupted", signals.exit_code())
        raise
    except OSError as error:
        _exit_for_os_error(error)
    except ImportError as error:
        _exit_for_import_error(error)
    except Exception as error:
        _exit_with(str(error), _exit_code(error), getattr(error, "details", ""))


def _warn(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """Print a warning of Feedbench in one line, and others as Python does."""
    if category.__module__.startswith("feedbench."):
        print(f"feedbench: {message}", file=sys.stderr)
    else:
        _python_shows(message, category, filename, lineno, file, line)


def _exit_code(error: Exception) -> int:
    """Return the exit code of an error of the user; any other error is raised again."""
    # Imported here because `--help` must not import NumPy, which the loaders need.
    from feedbench.loaders import ImageError, LoaderError, WorkerError
    from feedbench.trainer import CheckpointError, DivergedError, TrainerError

    if isinstance(error, ImageError | WorkerError | CheckpointError | DivergedError):
        return NOTHING_DONE
    if isinstance(error, PeerLost):
        return error.code
    if isinstance(error, InterruptedRun):
        return signals.exit_code()
    if isinstance(error, BenchError | LoaderError | TrainerError):
        return WRONG_USE
    raise error


def _exit_for_os_error(error: OSError) -> None:
    """Exit if the output or the current folder is gone or the disk is full; else raise again."""
    if error.errno == errno.EPIPE:
        signals.end_by_broken_pipe()
    if error.errno == errno.EIO:  # the terminal was closed
        sys.exit(NOTHING_DONE)
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        _exit_with(f"{error.strerror}: the output or the results are incomplete", NOTHING_DONE)
    if not _current_folder_exists():
        _exit_with("the current folder was removed; change to another one", WRONG_USE)
    raise error


def _exit_for_import_error(error: ImportError) -> None:
    """Exit if TensorFlow cannot be loaded, for lack of memory or a file; else raise again."""
    frames = [frame.f_globals.get("__name__", "") for frame, _ in walk_tb(error.__traceback__)]
    if not any(name.partition(".")[0] == "tensorflow" for name in frames):
        raise error
    lines = [line for line in str(error).splitlines() if line.strip()]
    # TensorFlow puts the traceback of the cause into the text of its own error.
    cause = next((line for line in lines if line.startswith("ImportError: ")), lines[0])
    text = cause.removeprefix("ImportError: ")
    _exit_with(
        f"TensorFlow cannot be loaded: {text}; free memory, or install it again", NOTHING_DONE
    )


def _current_folder_exists() -> bool:
    try:
        Path.cwd()
    except FileNotFoundError:
        return False
    return True


def _exit_with(text: str, code: int, details: str = "") -> None:
    """Print why the command failed, below the traceback of the user's own code, if any; exit."""
    from feedbench.bench.report.terminal import harmless

    if details:
        print(harmless(details), file=sys.stderr)
    print(f"feedbench: {harmless(text)}", file=sys.stderr)
    sys.exit(code)


if __name__ == "__main__":
    main()
