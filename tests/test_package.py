"""The package as it is installed: what the wheel holds, and that user folders do not disturb it."""

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from zipfile import ZipFile

import pytest

from feedbench.bench.trials_file import read_trials

ROOT = Path(__file__).parents[1]
FOLDERS = ("bench", "loaders", "trainer")
PIP_OPTIONS = ("--quiet", "--no-index", "--no-deps", "--no-build-isolation")


def run(*command: object, **how) -> str:
    """What the command prints, on both streams. It must succeed."""
    done = subprocess.run(
        [str(part) for part in command],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        **how,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def pip(python: object, *arguments: object, **how) -> None:
    run(python, "-m", "pip", "--disable-pip-version-check", *arguments, **how)


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what a build reads, with its links, so that no build/ is left in the real one."""
    copy = tmp_path_factory.mktemp("package") / "checkout"
    copy.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, copy)
    for name in ("feedbench", *FOLDERS):
        shutil.copytree(
            ROOT / name, copy / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__")
        )
    return copy


@pytest.fixture(scope="module")
def wheel(checkout: Path) -> Path:
    """Built with the setuptools of this environment, without network."""
    pip(sys.executable, "wheel", *PIP_OPTIONS, "--wheel-dir", checkout.parent / "dist", checkout)
    (built,) = (checkout.parent / "dist").iterdir()
    return built


@dataclass(frozen=True)
class Install:
    """An installed package: the interpreter that has it, and where its files must come from."""

    python: Path
    path: tuple[Path, ...]
    source: Path


def from_wheel(wheel: Path, folder: Path) -> Install:
    pip(sys.executable, "install", *PIP_OPTIONS, "--target", folder, wheel)
    return Install(Path(sys.executable), (folder,), folder)


def editable(checkout: Path, folder: Path) -> Install:
    """In an environment of its own."""
    python = environment(folder)
    pip(python, "install", *PIP_OPTIONS, "--editable", checkout, env=without_path())
    return Install(python, (), checkout)


def environment(folder: Path) -> Path:
    """Make an environment that borrows the dependencies of this one; return its interpreter."""
    run(sys.executable, "-m", "venv", "--without-pip", folder)
    (site,) = folder.glob("lib/python*/site-packages")
    borrowed = [path for path in sys.path if path.endswith("site-packages")]
    (site / "borrowed.pth").write_text("\n".join(borrowed))
    return folder / "bin" / "python"


def without_path() -> dict[str, str]:
    """The environment variables but PYTHONPATH: pip would take a checkout on it for an install."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}


@pytest.fixture(scope="module", params=["wheel", "editable"])
def install(request, checkout: Path, wheel: Path, tmp_path_factory) -> Install:
    folder = tmp_path_factory.mktemp("install") / "site"
    if request.param == "wheel":
        return from_wheel(wheel, folder)
    return editable(checkout, folder)


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """A user's folder with packages of the same names as our folders; importing one raises."""
    folder = tmp_path / "work"
    for name in FOLDERS:
        package = folder / name
        package.mkdir(parents=True)
        (package / "__init__.py").write_text(f"raise RuntimeError('the user imported {name}')\n")
    return folder


@pytest.fixture
def python(install: Install, work: Path, tmp_path: Path):
    """Runs the installed package's interpreter in the user's folder, which is on its path."""
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(map(str, (*install.path, work))),
        "FEEDBENCH_CACHE": str(tmp_path / "cache"),
    }
    return lambda *arguments: run(install.python, *arguments, cwd=work, env=environment)


def test_the_wheel_holds_one_package_and_all_of_it(wheel, checkout):
    names = set(ZipFile(wheel).namelist())
    sources = [path for name in FOLDERS for path in (checkout / name).rglob("*.py")]
    assets = [path for path in (checkout / "bench/html/assets").rglob("*") if path.is_file()]
    assert assets
    expected = {
        "feedbench/__init__.py",
        "feedbench/__main__.py",
        "feedbench/replacing.py",
        "feedbench/py.typed",
        "feedbench/bench/plan/accelerators.toml",
        *(f"feedbench/{path.relative_to(checkout)}" for path in [*sources, *assets]),
    }
    # Only where there is a C compiler.
    compiled = (
        "feedbench/bench/limits/_sampler",
        "feedbench/loaders/images/_jpeg",
        "feedbench/loaders/pool/_pool",
    )
    files = {name for name in names if ".dist-info/" not in name}
    assert {name for name in files if not name.startswith(compiled)} == expected
    (metadata,) = (name for name in names if name.endswith(".dist-info/METADATA"))
    assert "Operating System :: POSIX :: Linux" in ZipFile(wheel).read(metadata).decode()


def test_nothing_is_imported_from_the_users_folder(python, install, work):
    assert Path(python("-c", "import feedbench; print(feedbench.__file__)").strip()).is_relative_to(
        install.source
    )
    for name in FOLDERS:
        code = f"try: import {name}\nexcept RuntimeError as error: print(error)"
        assert python("-c", code) == f"the user imported {name}\n"


def test_commands_run_beside_the_users_packages(python, work, class_folder):
    command = ("-m", "feedbench.bench.cli")
    assert "Usage: " in python(*command, "--help")
    assert "turbo" in python(*command, "loaders")
    assert "45" in python(*command, "scan", class_folder)
    small = "--consumer drain --blocks 1 --block-seconds 0.2 --warm-up-seconds 0.1 --batch-size 8"
    # Two trials, so that their pixels are compared in a process of its own as well.
    loaders = ("--loader", "turbo", "--set", "turbo.prefetch=2,0")
    python(*command, "bench", class_folder, *loaders, *small.split(), "--out", "result")
    trials = read_trials(work / "result")
    assert [trial.error for trial in trials] == [None, None]
    assert all(trial.blocks for trial in trials)  # the winner has some more, timed alone
    assert all(trial.pixels is not None for trial in trials)


def test_the_step_of_the_action_installs_the_command(checkout, tmp_path):
    yaml = pytest.importorskip("yaml")  # one of the dev packages
    install, *_ = yaml.safe_load((ROOT / "action.yml").read_text())["runs"]["steps"]
    commands = environment(tmp_path / "venv").parent
    as_pip_options = {"PIP_NO_INDEX": "1", "PIP_NO_DEPS": "1", "PIP_NO_BUILD_ISOLATION": "0"}
    variables = {"GITHUB_ACTION_PATH": str(checkout), "PATH": f"{commands}:{os.environ['PATH']}"}
    shell = ("bash", "--noprofile", "--norc", "-eo", "pipefail", "-c")
    run(*shell, install["run"], env=without_path() | as_pip_options | variables, cwd=tmp_path)
    assert "feedbench" in run(commands / "feedbench", "--version", env=without_path()).lower()


def test_the_readme_has_no_relative_links():
    """A package index shows it without the files beside it."""
    text = (ROOT / "README.md").read_text()
    anchors = {
        "#" + re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")
        for title in re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    }
    links = re.findall(r"(!?)\[[^]]*\]\(([^)]*)\)", text)
    # A picture that is missing there shows the sentence that stands for it.
    assert all((ROOT / link).is_file() for is_picture, link in links if is_picture)
    linked = [link for is_picture, link in links if not is_picture]
    assert [link for link in linked if "://" not in link and link not in anchors] == []
