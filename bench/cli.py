"""The command line: commands that are imported when they are used, and exit codes of errors."""

from __future__ import annotations

import errno
import os
import re
import sys
import warnings
from importlib import import_module
from math import isfinite
from pathlib import Path
from traceback import walk_tb
from typing import Annotated, Any, TextIO

import typer
from typer.core import TyperGroup

from feedbench.bench import signals
from feedbench.bench.command_table import COMMANDS
from feedbench.bench.commands.help import CommandWithHelp
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
_UsageError: type[Exception] = typer.BadParameter.mro()[1]  # click's, which typer does not export
_INVALID = "Invalid value for "
_PROPOSAL = re.compile(r"(?:\. Did you mean| \(Possible options:) (.+)[?)]$")
_OTHER_PLACE = "change that, or name another file or folder"
_NO_THREAD = "can't start new thread"  # a RuntimeError of Python's
_REMEDIES = {
    errno.EACCES: _OTHER_PLACE,
    errno.EPERM: _OTHER_PLACE,
    errno.EROFS: _OTHER_PLACE,
    errno.EFBIG: _OTHER_PLACE,
    errno.EIO: "the disk has failed; copy the data to another one",
    errno.EMFILE: "raise the limit, for example by ulimit -n 4096",
    errno.ENFILE: "close other programs, or raise the system's limit fs.file-max",
    errno.EAGAIN: "end other processes, or raise the limit by ulimit -u",
    errno.ENOMEM: "free some memory",
}


class Commands(TyperGroup):
    """A command group that imports only the command that is used."""

    def make_context(self, *arguments: Any, **options: Any) -> Any:
        """Read the options before the command."""
        try:
            return super().make_context(*arguments, **options)
        except _UsageError as error:
            _exit_for_wrong_use(error, None)

    def invoke(self, context: Any) -> Any:
        """Run the command, with pydantic's error texts in plain words.

        A command whose output is read no more ends by SIGPIPE, like any other program.
        """
        try:
            return super().invoke(context)
        except BrokenPipeError:  # click would end with exit code 1
            signals.end_by_broken_pipe()
        except _UsageError as error:
            if isinstance(error, typer.BadParameter):
                error.message = _in_plain_words(error)
            _exit_for_wrong_use(error, context.invoked_subcommand)

    def resolve_command(self, context: Any, arguments: list[str]) -> Any:
        """Import the command that the arguments begin with, and register it.

        Signals interrupt it from now on; before, nothing could be lost.
        """
        if arguments[0] in COMMANDS:
            self.commands[arguments[0]] = _finite(typer.main.get_command(command_app(arguments[0])))
        signals.interrupt_on_termination()
        return super().resolve_command(context, arguments)


def _in_plain_words(error: typer.BadParameter) -> str:
    """Return what is wrong with the value of an option, and the value."""
    text = error.message.removeprefix("Value error, ").replace("Input should be", "must be")
    faults = getattr(error.__cause__, "errors", None)  # of pydantic
    if faults is None:
        return text
    return f"{text.partition(', unable to parse')[0]}, got {faults()[0]['input']}"


def _exit_for_wrong_use(error: Any, command: str | None) -> None:
    """Exit with one line about an option, argument or command, where typer would draw a box."""
    text = " ".join(error.format_message().split()).rstrip(".")
    if not text:  # no arguments at all: the help is printed already
        raise error
    text = _PROPOSAL.sub(r"; did you mean \1?", text)
    option, _, rule = text.removeprefix(_INVALID).partition(": ")
    if text.startswith(_INVALID):
        text = ": ".join((option.replace("'", ""), rule))
    see = " ".join(filter(None, ["feedbench", command, "--help"]))
    end = f" See {see}" if text.endswith("?") else f"; see {see}"
    _exit_with(f"{text[0].lower()}{text[1:]}{end}", WRONG_USE)


def _finite(command: Any) -> Any:
    """Return the command, whose options then refuse numbers that are not finite.

    A block of `inf` seconds never ends, and a record that holds it cannot be read.
    """
    for option in command.params:
        option.callback = option.callback or _check_finite
    return command


def _check_finite(context: Any, option: Any, value: Any) -> Any:
    if isinstance(value, float) and not isfinite(value):
        raise typer.BadParameter(f"must be a finite number, got {value}", context, option)
    return value


def command_app(name: str) -> typer.Typer:
    """Return an app with one command; its help is the summary and the function's docstring."""
    entry = COMMANDS[name]
    module = import_module(f"feedbench.bench.commands.{entry.module}")
    function = getattr(module, name.replace("-", "_"))
    single = typer.Typer(add_completion=False)
    _register(single, name, f"{entry.summary}\n\n{_unwrapped(function.__doc__)}")(function)
    return single


def _unwrapped(docstring: str) -> str:
    """Return a docstring with one line per paragraph, which typer would break as the source is."""
    return "\n\n".join(" ".join(part.split()) for part in docstring.split("\n\n"))


def _register(target: typer.Typer, name: str, text: str) -> Any:
    entry = COMMANDS[name]
    example = f"Example: feedbench {name} {entry.example}".rstrip()
    return target.command(
        name, cls=CommandWithHelp, help=text, epilog=example, rich_help_panel=entry.panel
    )


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
    except KeyboardInterrupt:  # before or after the command itself
        _exit_with("interrupted", signals.exit_code())
    except OSError as error:
        _exit_for_os_error(error)
    except ImportError as error:
        _exit_for_import_error(error)
    except MemoryError as error:
        text = ": ".join(filter(None, ["out of memory", str(error)]))
        _exit_with(f"{text}; free some, or take smaller images or batches", NOTHING_DONE)
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
        from feedbench.bench.report.terminal import harmless

        print(f"feedbench: {harmless(str(message))}", file=sys.stderr)
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
    if str(error) == _NO_THREAD:
        _exit_with(f"{error}; {_REMEDIES[errno.EAGAIN]}", WRONG_USE)
    raise error


def _exit_for_os_error(error: OSError) -> None:
    """Exit if the system refuses something that a user can change; else raise again."""
    if error.errno == errno.EPIPE:
        signals.end_by_broken_pipe()
    if error.errno == errno.EIO and error.filename is None:  # the terminal was closed
        sys.exit(NOTHING_DONE)
    where = "" if error.filename is None else f"{os.fsdecode(error.filename)}: "
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        _exit_with(
            f"{where}{error.strerror}: the output or the results are incomplete", NOTHING_DONE
        )
    if not _current_folder_exists():
        _exit_with("the current folder was removed; change to another one", WRONG_USE)
    if "temporary directory" in str(error):  # of Python's tempfile
        _exit_with(f"{error.strerror}; set TMPDIR to a folder with room", WRONG_USE)
    if error.errno in _REMEDIES:
        _exit_with(f"{where}{error.strerror}; {_REMEDIES[error.errno]}", WRONG_USE)
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
