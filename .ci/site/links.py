"""Links between files of the repository, as links between pages of the site."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

ROOT = Path(__file__).parents[2]
_LINK = re.compile(r"\[(?P<text>[^]]*)\]\((?P<target>[^)#\s]+)(?P<anchor>#[^)\s]*)?\)")
_CODE = re.compile(r"(^```.*?^```)", re.MULTILINE | re.DOTALL)


def page_of(path: str) -> str:
    """Return where the site has a file: those in docs/ at the top, all others as they lie."""
    return path.removeprefix("docs/")


class Links:
    """The links of one Markdown file.

    Args:
        path: the file, relative to the root of the repository.
    """

    def __init__(self, path: str) -> None:
        self._path = PurePosixPath(path)

    def files(self) -> Iterator[str]:
        """Yield the linked files that are no Markdown, and exist."""
        text = (ROOT / self._path).read_text()
        for link in _LINK.finditer(_CODE.sub("", text)):
            target = self._target(link["target"])
            if target and not target.endswith(".md") and (ROOT / target).is_file():
                yield page_of(target)

    def on_site(self, markdown: str) -> str:
        """Return the text with its links rewritten; one to a folder without a page is dropped."""
        pieces = _CODE.split(markdown)  # code is every second piece
        pieces[::2] = [_LINK.sub(self._rewritten, piece) for piece in pieces[::2]]
        return "".join(pieces)

    def _rewritten(self, link: re.Match[str]) -> str:
        target = self._target(link["target"])
        if target is None:
            return link[0]
        if (ROOT / target).is_dir():
            return link["text"]
        here = Path(page_of(str(self._path))).parent
        there = os.path.relpath(page_of(target), here)
        return f"[{link['text']}]({there}{link['anchor'] or ''})"

    def _target(self, link: str) -> str | None:
        """Return the file of the repository that a link leads to; None if it leads elsewhere."""
        if "://" in link or link.startswith("mailto:"):
            return None
        path = Path(os.path.normpath(self._path.parent / link))
        page = path / "README.md"
        return str(page if (ROOT / page).is_file() else path)
