"""The table of accelerator profiles."""

from __future__ import annotations

from collections.abc import Mapping

from feedbench.bench.accelerator import Accelerator
from feedbench.bench.report.document import RATE, Column, TableData, only_csv, words


def profiles_table(profiles: Mapping[str, Accelerator]) -> TableData[tuple[str, Accelerator]]:
    """Return one row per profile, and their sources below."""
    return TableData(
        name="accelerators",
        columns=[
            words("name", "name", lambda row: row[0]),
            words("device", "device", lambda row: row[1].device, importance=1),
            Column(
                "images/s",
                "images_per_second",
                lambda row: row[1].images_per_second,
                RATE,
            ),
            Column("batch", "batch_size", lambda row: row[1].batch_size),
            Column("px", "image_size_px", lambda row: row[1].image_size),
            words("network", "network", lambda row: row[1].network_text()),
            words("precision", "precision", lambda row: row[1].precision, importance=2),
            only_csv("source", lambda row: row[1].source),
        ],
        rows=list(profiles.items()),
        notes=[f"{name}: {profile.source}." for name, profile in profiles.items()],
    )
