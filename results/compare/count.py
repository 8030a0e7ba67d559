"""Print how often measure.sh found a run slower, faster or the same, as a Markdown table."""

import json
import sys
from collections import Counter
from pathlib import Path
from statistics import median
from typing import Any

WORDS = ("slower", "same within 3 %", "cannot tell", "faster")


def main() -> None:
    """Print one row per kind of pair."""
    lines = [f"| pairs | {' | '.join(WORDS)} | fails at 5 % | median ratio |"]
    lines.append("|---|" + "---|" * (len(WORDS) + 2))
    for kind in ("equal", "slowed", "against-equal", "against-slowed"):
        pairs = [_pair(path) for path in sorted(Path(sys.argv[1]).glob(f"*/{kind}.json"))]
        if not pairs:
            continue
        counts = Counter(pair["outcome"] for pair in pairs)
        ratios = [pair["ratio"]["median"] for pair in pairs]
        failed = sum(_is_below(pair["ratio"], 0.95) for pair in pairs)
        cells = [str(counts[word]) for word in WORDS]
        row = " | ".join([f"{kind} ({len(pairs)})", *cells, str(failed), f"{median(ratios):.3f}"])
        lines.append(f"| {row} |")
    sys.stdout.write("\n".join(lines) + "\n")


def _pair(path: Path) -> dict[str, Any]:
    (pair,) = json.loads(path.read_text())["pairs"]
    return pair


def _is_below(ratio: dict[str, Any], limit: float) -> bool:
    return ratio["high"] is not None and ratio["high"] < limit


if __name__ == "__main__":
    main()
