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
    lines = [f"| pairs | {' | '.join(WORDS)} | interval below 0.95 | median ratio |"]
    lines.append("|---|" + "---|" * (len(WORDS) + 2))
    for kind, pairs in _by_kind(Path(sys.argv[1])).items():
        counts = Counter(pair["outcome"] for pair in pairs)
        ratios = [pair["ratio"]["median"] for pair in pairs]
        failed = sum(_is_below(pair["ratio"], 0.95) for pair in pairs)
        cells = [str(counts[word]) for word in WORDS]
        row = " | ".join([f"{kind} ({len(pairs)})", *cells, str(failed), f"{median(ratios):.3f}"])
        lines.append(f"| {row} |")
    sys.stdout.write("\n".join(lines) + "\n")


def _by_kind(folder: Path) -> dict[str, list[dict[str, Any]]]:
    """Return the pairs of all comparisons; one of --against holds an equal and a slowed pair."""
    kinds: dict[str, list[dict[str, Any]]] = {}
    for path in sorted(folder.glob("*-*.json")):
        way = path.stem.rpartition("-")[0]
        for pair in json.loads(path.read_text())["pairs"]:
            if not pair["is_judged"] or pair["name"].startswith("turbo"):
                continue  # two winners, or the loader of --relative-to
            slowed = "slowed" if "slowed/" in pair["name"] else "equal"
            kind = f"against, {slowed}" if way == "against" else way
            kinds.setdefault(kind, []).append(pair)
    return dict(sorted(kinds.items()))


def _is_below(ratio: dict[str, Any], limit: float) -> bool:
    return ratio["high"] is not None and ratio["high"] < limit


if __name__ == "__main__":
    main()
