"""Follows a page as its reader would: saves its files, runs its commands, executes its Python."""

from __future__ import annotations

import os
import re
import shutil
import stat
import subprocess
import sys
from pathlib import Path

from .as_tested import BEFORE, GIVEN, LIST, NOT_RUN, PAGE, PHOTO, REPLACED, RUN_BY
from .blocks import ROOT, Block, blocks_of, page_id

_NEWEST = re.compile(r"results/([a-z-]+)-…")  # as a page names a folder with a date
_HERE = Path(__file__).parent
_WRAPPER = """#!/bin/sh
exec '{python}' -I -S '{asking}' '{server}' '{python}' {script} "$@"
"""


class Reader:
    """Somebody who follows one page in a folder.

    Args:
        folder: an empty folder, which gets `photos/` unless the page has them made.
        server: the socket of who runs `feedbench` and `python` for them.
    """

    def __init__(self, page: Path, folder: Path, photos: Path, server: Path) -> None:
        self._page = page
        self._folder = folder
        self._bin = folder.with_name("bin")
        self._bin.mkdir()
        self._install(server)
        if not any("make-data photos/" in block.text for block in blocks_of(page)):
            shutil.copytree(photos, folder / "photos")
        for name, source in GIVEN.get(page_id(page), {}).items():
            self._give(name, source)

    def follow(self, block: Block) -> str:
        """Do what a block says, and return what was printed."""
        text = block.text
        for here, there in REPLACED.items():
            text = text.replace(here, there)
        if block.saved_as:
            file = self._folder / block.saved_as
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        if block.language == "sh":
            return self._run("bash", "-euo", "pipefail", "-c", self._commands(text))
        if block.language == "python" and not block.saved_as:
            return self._run(sys.executable, "-c", BEFORE.get(page_id(self._page), "") + text)
        return ""

    def _commands(self, text: str) -> str:
        """The commands of a block that can run here, on the newest results."""
        text = text.replace("\\\n", " ")
        lines = [line for line in text.splitlines() if self._is_run(line)]
        return _NEWEST.sub(r"$(ls -d results/\1-* | tail -n 1)", "\n".join(lines))

    def _is_run(self, line: str) -> bool:
        elsewhere = RUN_BY.get(page_id(self._page), {})
        words = " ".join(line.split())
        return reason_not_to_run(line) is None and not words.startswith(tuple(elsewhere))

    def _run(self, *command: str) -> str:
        done = subprocess.run(
            command,
            cwd=self._folder,
            env=self._environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{command[-1]}\n{done.stdout}"
        assert "Traceback" not in done.stdout, done.stdout
        return done.stdout

    def _environment(self) -> dict[str, str]:
        """Environment variables of the reader, who has a home folder of their own."""
        return {
            **{name: value for name, value in os.environ.items() if not name.startswith("XDG_")},
            "HOME": str(self._folder),
            "PATH": os.pathsep.join((str(self._bin), os.environ["PATH"])),
            "PYTHONPATH": os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH")))),
            "COLUMNS": "100",
            PAGE: page_id(self._page),
        }

    def _install(self, server: Path) -> None:
        values = {"python": sys.executable, "asking": _HERE / "asking.py", "server": server}
        for name, script in (("feedbench", f"'{_HERE / 'as_tested.py'}'"), ("python", "")):
            file = self._bin / name
            file.write_text(_WRAPPER.format(**values, script=script))
            file.chmod(file.stat().st_mode | stat.S_IXUSR)

    def _give(self, name: str, source: str) -> None:
        target = self._folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        photos = sorted((self._folder / "photos").rglob("*.jpg"))
        if source == PHOTO:
            shutil.copy(photos[0], target)
        elif source == LIST:
            lines = (f"{photo},{photo.parent.name},{photo.parts[-3]}\n" for photo in photos)
            target.write_text("path,label,split\n" + "".join(lines))
        elif (ROOT / source).is_dir():
            shutil.copytree(ROOT / source, target)
        else:
            (file,) = (one for one in blocks_of(ROOT / source) if one.saved_as == name)
            target.write_text(file.text)


def reason_not_to_run(line: str) -> str | None:
    """Why a test cannot run a command; None if it can."""
    return next((why for words, why in NOT_RUN.items() if line.lstrip().startswith(words)), None)
