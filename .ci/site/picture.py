"""Draws what `feedbench show RESULT` prints as a picture: python .ci/site/picture.py RESULT SVG."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from rich.text import Text

from feedbench.bench.commands.output import print_parts
from feedbench.bench.report.terminal import Terminal
from feedbench.bench.results.find import read_result
from feedbench.bench.results.parts import parts_of

_WIDTH = 90
_WEB_FONTS = re.compile(r"@font-face \{.*?\}", re.DOTALL)


def draw(result: Path, picture: Path, command: str) -> None:
    """Write the picture of a terminal in which a command has printed a result."""
    with Path("/dev/null").open("w") as nowhere:
        terminal = Terminal(
            record=True,
            width=_WIDTH,
            force_terminal=True,
            color_system="truecolor",
            file=nowhere,
        )
        terminal.print(Text(f"$ {command}", style="bold"))
        print_parts(terminal, list(parts_of(read_result(result))))
    drawn = terminal.export_svg(title="feedbench")
    picture.write_text(_WEB_FONTS.sub("", drawn))  # nothing is fetched to show it


if __name__ == "__main__":
    draw(Path(sys.argv[1]), Path(sys.argv[2]), " ".join(sys.argv[3:]))
