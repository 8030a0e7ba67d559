"""The published results, without those of commands that were run in this folder."""

import re
from collections.abc import Iterable
from pathlib import Path

RESULTS = Path(__file__).parents[1] / "results"
_OWN = re.compile(r"-\d{8}-\d{6}(-\d+)?$")  # the date and time in the name of a new result folder


def published(paths: Iterable[Path]) -> list[Path]:
    """Return the paths below results/ that are published, sorted."""
    return sorted(path for path in paths if not _OWN.search(path.relative_to(RESULTS).parts[0]))
