"""The code blocks of a Markdown page."""

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
_FENCED = re.compile(r"^( *)```(\w*)[^\n]*\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
_NAMED = re.compile(r"# ([\w/]+\.(?:py|toml))\n")


@dataclass(frozen=True)
class Block:
    """A block of code.

    Attributes:
        line: number of its first line in the page.
        saved_as: the file name in its first line, if that is a comment with one.
    """

    language: str
    text: str
    line: int

    @property
    def saved_as(self):
        named = _NAMED.match(self.text)
        return named and named[1]


def blocks_of(page: Path) -> list[Block]:
    text = page.read_text()
    return [
        Block(
            language=found[2],
            text=re.sub(f"^{found[1]}", "", found[3], flags=re.MULTILINE),
            line=text[: found.start(3)].count("\n") + 1,
        )
        for found in _FENCED.finditer(text)
    ]


def page_id(page: Path) -> str:
    return str(page.relative_to(ROOT))
