"""What the system refuses, a library that cannot be loaded, and warnings are one line each."""

import errno
import subprocess
import sys
import tempfile

import pytest

from feedbench.bench.cli import _exit_for_import_error, _warn, main
from feedbench.bench.errors import NOTHING_DONE
from feedbench.loaders import SourceWarning
from feedbench.loaders.audit import Store

LOADER_ERROR = "libtensorflow_framework.so.2: failed to map segment from shared object"


@pytest.mark.parametrize(
    "text",
    [LOADER_ERROR, f"Traceback (most recent call last):\nImportError: {LOADER_ERROR}\n\nFailed to"],
    ids=["plain", "with the cause's traceback"],
)
def test_tensorflow_that_cannot_be_loaded_is_an_error_of_one_line(capsys, text):
    assert import_error("tensorflow.python", text) == NOTHING_DONE
    errors = capsys.readouterr().err
    assert errors.startswith(f"feedbench: TensorFlow cannot be loaded: {LOADER_ERROR}; free memory")
    assert errors.count("\n") == 1


def test_another_module_that_cannot_be_loaded_is_a_defect_with_a_traceback():
    with pytest.raises(ImportError, match="no such name"):
        import_error("feedbench.bench", "no such name")


def failing(monkeypatch, error: BaseException) -> int:
    """Return the exit code of a command that fails."""

    def fail():
        raise error

    monkeypatch.setattr(sys, "argv", ["feedbench"])
    monkeypatch.setattr("feedbench.bench.cli.app", fail)
    with pytest.raises(SystemExit) as ended:
        main()
    return ended.value.code


@pytest.mark.parametrize(
    ("error", "text", "code"),
    [
        (
            OSError(errno.EMFILE, "Too many open files", b"a/1.jpg"),
            "a/1.jpg: Too many open files; raise the limit, for example by ulimit -n 4096",
            2,
        ),
        (
            PermissionError(errno.EACCES, "Permission denied", "out"),
            "out: Permission denied; change that, or name another file or folder",
            2,
        ),
        (
            OSError(errno.EROFS, "Read-only file system", "out"),
            "out: Read-only file system; change that, or name another file or folder",
            2,
        ),
        (
            OSError(errno.ENOSPC, "No space left on device", "out"),
            "out: No space left on device: the output or the results are incomplete",
            1,
        ),
        (
            BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable"),
            "Resource temporarily unavailable; end other processes, or raise the limit by "
            "ulimit -u",
            2,
        ),
        (
            RuntimeError("can't start new thread"),
            "can't start new thread; end other processes, or raise the limit by ulimit -u",
            2,
        ),
        (
            MemoryError("Unable to allocate 9 GiB"),
            "out of memory: Unable to allocate 9 GiB; free some, or take smaller images or batches",
            1,
        ),
        (MemoryError(), "out of memory; free some, or take smaller images or batches", 1),
    ],
    ids=str,
)
def test_what_the_system_refuses_is_one_line(monkeypatch, capsys, error, text, code):
    assert failing(monkeypatch, error) == code
    assert capsys.readouterr().err == f"feedbench: {text}\n"


FEW_FILES = """
import resource
from feedbench.bench.cli import main
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
main()
"""


def with_few_open_files(*arguments):
    """Run a command that may have 64 files open, as may the processes that it starts."""
    command = [sys.executable, "-c", FEW_FILES, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_a_scan_needs_few_open_files(tiny_photos):
    done = with_few_open_files("scan", tiny_photos)
    assert (done.returncode, "64 images" in done.stdout) == (0, True), done.stderr


def test_a_training_needs_few_open_files_or_names_the_limit(tiny_photos, tmp_path):
    recipe = tmp_path / "small.toml"
    recipe.write_text('network = "MobileNet"\nalpha = 0.25\nepochs = 1\n')
    options = ["--recipe", recipe, "--image-size", 32, "--batch-size", 8, "--no-tensorboard"]
    done = with_few_open_files("train", tiny_photos, *options, "--out", tmp_path / "out")
    if done.returncode:  # as with very many threads
        assert done.returncode == 2, done.stderr
        assert "ulimit -n" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


def test_a_disk_that_fails_is_named_and_a_closed_terminal_is_not(monkeypatch, capsys):
    assert failing(monkeypatch, OSError(errno.EIO, "Input/output error", "a/1.jpg")) == 2
    assert capsys.readouterr().err.startswith("feedbench: a/1.jpg: Input/output error; the disk")
    assert failing(monkeypatch, OSError(errno.EIO, "Input/output error")) == NOTHING_DONE
    assert capsys.readouterr().err == ""


def test_a_file_that_is_missing_for_no_known_reason_is_a_defect_with_a_traceback(monkeypatch):
    with pytest.raises(FileNotFoundError):
        failing(monkeypatch, FileNotFoundError(errno.ENOENT, "No such file", "inside"))


def test_no_place_for_temporary_files_is_one_line(monkeypatch, capsys):
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setattr(tempfile, "_candidate_tempdir_list", lambda: ["/proc/nowhere"])
    with pytest.raises(FileNotFoundError) as raised:
        tempfile.gettempdir()
    assert failing(monkeypatch, raised.value) == 2
    errors = capsys.readouterr().err
    assert errors.endswith("set TMPDIR to a folder with room\n")
    assert errors.count("\n") == 1


@pytest.mark.parametrize("kilobytes", [1_500_000, 3_000_000])
def test_a_limit_of_memory_is_named_by_a_scan_and_no_image_is_blamed(
    tiny_photos, tmp_path, monkeypatch, kilobytes
):
    """With less address space than TensorFlow needs to be imported, and to decode images."""
    monkeypatch.setenv("FEEDBENCH_CACHE", str(tmp_path))
    limited = ["bash", "-c", f'ulimit -v {kilobytes}; exec "$@"', "-"]
    command = [*limited, sys.executable, "-m", "feedbench.bench.cli", "scan", str(tiny_photos)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode in (1, 2)
    assert done.stderr.count("\n") == 1, done.stderr
    assert f"limited to {kilobytes * 1024 / 1e9:.2f} GB (ulimit -v)" in done.stderr
    assert len(Store.of(tiny_photos).facts()) == 0


def test_a_warning_about_the_images_is_one_line_and_others_stay_as_they_are(capsys, monkeypatch):
    others = []
    monkeypatch.setattr("feedbench.bench.cli._python_shows", lambda *given: others.append(given))
    _warn(
        SourceWarning("\x1b[2Ja.tar: 1 file has the name of a later one"), SourceWarning, "x.py", 3
    )
    _warn(UserWarning("other"), UserWarning, "x.py", 3)
    assert capsys.readouterr().err == "feedbench: �[2Ja.tar: 1 file has the name of a later one\n"
    assert [category for _, category, *_ in others] == [UserWarning]


def import_error(module: str, text: str) -> int:
    """Return the exit code after an import that failed within a module."""
    try:
        exec("raise ImportError(text)", {"__name__": module, "text": text})
    except ImportError as error:
        with pytest.raises(SystemExit) as ended:
            _exit_for_import_error(error)
        return ended.value.code
