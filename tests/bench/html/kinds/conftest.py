import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from feedbench.bench.html.kinds import report_of
from feedbench.bench.html.parts import Chart, Details, Figure, Part, Table
from feedbench.bench.record import Block, Host, Trial
from feedbench.bench.results.kinds import Result

SPEC = {"image_size": 96, "batch_size": 64, "resize": "stretch", "interpolation": "nearest"}


class Page:
    """The report of a result, with ways to look things up in it."""

    def __init__(self, result: Result) -> None:
        self.report = report_of(result)
        self.anchors = [section.anchor for section in self.report.sections]
        self.parts = list(_flat(part for one in self.report.sections for part in one.parts))

    def of(self, kind: type) -> list[Any]:
        return [part for part in self.parts if isinstance(part, kind)]

    def chart(self, beginning: str) -> Chart:
        return next(chart for chart in self.of(Chart) if chart.title.startswith(beginning))

    def table(self, title: str) -> list[dict[str, Any]]:
        """The rows of a table by the titles of their columns; figures as value, low, high."""
        found = next(part for part in self.of(Table) if part.title == title)
        names = [column.title for column in found.columns]
        return [dict(zip(names, map(_plain, row), strict=True)) for row in found.rows]

    @property
    def text(self) -> str:
        return repr(self.report)

    def check(self) -> None:
        """What every report must be: complete, unique anchors, charts that need nothing else."""
        assert self.report.title
        assert self.report.headline.sentence
        assert len({*self.anchors}) == len(self.anchors)
        assert all(section.title and section.parts for section in self.report.sections)
        for table in self.of(Table):
            assert table.title
            assert {len(row) for row in table.rows} <= {len(table.columns)}
        for chart in self.of(Chart):
            assert chart.title
            assert chart.summary
            assert chart.spec["layer"]
            assert chart.spec["height"] > 0
            text = json.dumps(chart.spec, allow_nan=False)
            assert '"url"' not in text
            assert "://" not in text


def _flat(parts: Any) -> Iterator[Part]:
    """Yield parts, those that are closed at first and the tables of charts included."""
    for part in parts:
        yield part
        if isinstance(part, Details):
            yield from _flat(part.parts)
        if isinstance(part, Chart) and part.table is not None:
            yield part.table


def _plain(cell: Any) -> Any:
    return [cell.value, cell.low, cell.high] if isinstance(cell, Figure) else cell


@pytest.fixture(scope="session")
def page() -> Callable[[Result], Page]:
    """A function: the checked report of a result."""

    def make(result: Result) -> Page:
        made = Page(result)
        made.check()
        return made

    return make


@pytest.fixture(scope="session")
def measured(trial: Callable[..., Trial]) -> Callable[..., Trial]:
    """A function: a trial with a batch spec, 40 steps a block, and readings of cores and a disk."""

    def make(loader: str, rates: list[float], **values) -> Trial:
        gpus = values.pop("gpus", [])
        one = trial(loader, rates, **values)
        blocks = [_with_meters(block, gpus) for block in one.blocks]
        recipe = {"network": "MobileNetV2", "alpha": 0.35}
        return one.model_copy(update={"spec": SPEC, "blocks": blocks, "recipe": recipe})

    return make


def _with_meters(block: Block, gpus: list[Any]) -> Block:
    host = Host(
        at_s=[0.5, 1.0, 1.5, 2.0],
        cores={0: [0.1, 0.9, None, 1.0], 1: [0.0, 0.0, 0.5, 0.2]},
        disk_read_bytes_per_s=[1_000_000, None, 3_000_000, 0],
    )
    waits, steps = [0.01] * 39 + [0.06], [0.04] * 40
    changes = {"host": host, "gpus": gpus, "wait_s": waits, "step_s": steps}
    return block.model_copy(update=changes)
