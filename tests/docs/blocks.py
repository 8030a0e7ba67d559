"""The code blocks of a Markdown page."""

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
_FENCED = re.compile(
    r'^(?P<indent> *)```(?P<language>\w*)(?: title="(?P<title>[^"\n]*)")?\n(?P<text>.*?)^ *```$',
    re.MULTILINE | re.DOTALL,
)
_NAMED = re.compile(r"# ([\w/]+\.(?:py|toml))\n")


@dataclass(frozen=True)
class Block:
    """A block of code.

    Attributes:
        line: number of its first line in the page.
        saved_as: the file that it is: its title, or the name in a comment that is its first line.
    """

    language: str
    text: str
    line: int
    saved_as: str | None


def blocks_of(page: Path) -> list[Block]:
    text = page.read_text()
    starts = {
        found: text[: found.start("text")].count("\n") + 1 for found in _FENCED.finditer(text)
    }
    return [_block(found, line) for found, line in starts.items()]


def _block(found: re.Match[str], line: int) -> Block:
    text = re.sub(f"^{found['indent']}", "", found["text"], flags=re.MULTILINE)
    named = _NAMED.match(text)
    return Block(found["language"], text, line, found["title"] or (named and named[1]))


def page_id(page: Path) -> str:
    return str(page.relative_to(ROOT))
