"""Draws what `feedbench show RESULT` prints as a picture: python .ci/site/picture.py RESULT SVG."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from rich.console import Console
from rich.text import Text

from feedbench.bench.commands.show import print_result
from feedbench.bench.results.find import read_result

_WIDTH = 80
_WEB_FONTS = re.compile(r"@font-face \{.*?\}", re.DOTALL)


def draw(result: Path, picture: Path, command: str) -> None:
    """Write the picture of a terminal in which a command has printed a result."""
    with Path("/dev/null").open("w") as nowhere:
        terminal = Console(
            record=True,
            width=_WIDTH,
            force_terminal=True,
            color_system="truecolor",
            highlight=False,
            file=nowhere,
        )
        terminal.print(Text(f"$ {command}", style="bold"))
        print_result(terminal, read_result(result))
    drawn = terminal.export_svg(title="feedbench")
    picture.write_text(_WEB_FONTS.sub("", drawn))  # nothing is fetched to show it


if __name__ == "__main__":
    draw(Path(sys.argv[1]), Path(sys.argv[2]), " ".join(sys.argv[3:]))
