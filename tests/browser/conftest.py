import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from feedbench.bench.html.charts.lanes import Lane, Readings, lanes
from feedbench.bench.html.kinds import report_at, report_of
from feedbench.bench.html.parts import (
    Chart,
    Code,
    Column,
    Details,
    Figure,
    Headline,
    Report,
    Section,
    Table,
    Text,
)
from feedbench.bench.html.render import render
from feedbench.bench.record import Trial
from feedbench.bench.results.find import read_result
from feedbench.bench.trials_file import read_trials, write_trials

EVIL = "<script>alert(1)</script>.jpg"
COMMAND = "feedbench train photos/ --loader 'best.toml'"
RATES = [300, 5, 1200, 40, 40, 7, 90, 1000, None]  # images/s; sorted as text, 1200 comes first
SECONDS = 8.0  # of the chart with a time axis
RESULTS = Path(__file__).parents[2] / "results"
PUBLISHED = RESULTS / "clothing-cpu"

_OPTIONS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    if path is None:
        pytest.skip("needs Chromium: `apt-get install chromium`, then `make test-browser`")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=_OPTIONS)
        yield browser
        browser.close()


@dataclass
class Opened:
    """A page in the browser, with what it complained of and asked for."""

    page: Any
    complaints: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def listen(self) -> None:
        self.page.on("console", self._note)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("dialog", lambda dialog: self.complaints.append(f"dialog {dialog.message}"))
        self.page.on("request", lambda request: self.requests.append(request.url))

    def _note(self, message: Any) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(message.text)

    def draw_all(self) -> None:
        """Scroll until every chart that is not inside closed details is drawn."""
        for plot in self.page.locator(".plot:visible").all():
            plot.scroll_into_view_if_needed()
            plot.locator("svg").wait_for()
        self.page.evaluate("scrollTo(0, 0)")


Open = Callable[..., Opened]


@pytest.fixture
def opened(chromium: Any) -> Iterator[Open]:
    """Opens a file in a new context: nothing is remembered from other tests."""
    contexts = []

    def open_file(file: Path, width: int = 1024, **options: Any) -> Opened:
        viewport = {"width": width, "height": 800}
        context = chromium.new_context(viewport=viewport, **options)
        context.set_default_timeout(120_000)
        contexts.append(context)
        found = Opened(context.new_page())
        found.listen()
        found.page.goto(file.as_uri())
        return found

    yield open_file
    for context in contexts:
        context.close()


@pytest.fixture(scope="session")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page with every part, whose names look like HTML."""
    file = tmp_path_factory.mktemp("browser") / "sample.html"
    file.write_text(render([_report()]), encoding="utf-8")
    return file


@pytest.fixture(scope="session")
def page_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """A function: the page of published results, written once."""
    folder = tmp_path_factory.mktemp("published")

    @cache
    def write(*names: str) -> Path:
        reports = [report_at(RESULTS / name, is_alone=len(names) == 1) for name in names]
        file = folder / f"{'-'.join(names).replace('/', '_')}.html"
        file.write_text(render(reports), encoding="utf-8")
        return file

    return write


def _report() -> Report:
    bars = Chart("turbo is the fastest", "Rates of nine loaders.", _bars(), table=_rates())
    time = Chart("The trainer waits for batches", "Waits over time.", _lanes())
    return Report(
        f"Bench of {EVIL}",
        Headline(f"turbo is the fastest on {EVIL}.", COMMAND),
        [
            Section("Rates", [Text(EVIL, "verdict"), bars, _rates()], "rates"),
            Section("Over time", [time, Details("Raw samples", [bars, Code(EVIL)])], "time"),
        ],
    )


def _rates() -> Table:
    columns = [Column("loader", "What gives the batches"), Column("images/s", numeric=True)]
    rows = [[f"loader {n} {EVIL}" if n == 4 else f"loader {n}", _rate(n)] for n in range(9)]
    return Table("All loaders", [*columns, *(Column(f"more {n}") for n in range(8))], _wide(rows))


def _rate(number: int) -> Figure:
    rate = RATES[number]
    return Figure(rate, rate and rate - 1, rate and rate + 1)


def _wide(rows: list[list[Any]]) -> list[list[Any]]:
    """Rows that no screen of 360 pixels holds."""
    return [[*row, *("a setting with a long name" for _ in range(8))] for row in rows]


def _bars() -> dict[str, Any]:
    values = [{"name": f"{n} {EVIL}", "rate": rate or 0} for n, rate in enumerate(RATES)]
    encoding = {
        "y": {"field": "name", "type": "nominal"},
        "x": {"field": "rate", "type": "quantitative"},
        "tooltip": [{"field": "name"}, {"field": "rate", "title": "images/s"}],
    }
    return {"data": {"values": values}, "mark": "bar", "encoding": encoding}


def _lanes() -> dict[str, Any]:
    begin = np.arange(0, SECONDS, 0.1)
    lane = Lane(
        EVIL, Readings.of(begin, begin + 0.05, 0.5 + 0 * begin), "var(--accent)", lambda _: EVIL
    )
    return lanes([lane], [4.0], SECONDS, "seconds", columns=100)


@pytest.fixture(scope="session")
def page_of_20_trials(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of a bench with 20 trials of 9 blocks, made of a published block."""
    folder = tmp_path_factory.mktemp("large")
    published = next(trial for trial in read_trials(PUBLISHED) if len(trial.blocks[0].wait_s) > 9)
    write_trials(folder, [_longer(published, number) for number in range(20)])
    file = folder / "report.html"
    file.write_text(render([report_of(read_result(folder))]), encoding="utf-8")
    return file


def _longer(trial: Trial, number: int) -> Trial:
    """A trial with other settings, and nine blocks of ten times as many steps."""
    block = trial.blocks[0]
    steps = {"wait_s": block.wait_s * 10, "step_s": block.step_s * 10, "idle_s": None}
    length = {"seconds": block.seconds * 10, "images": block.images * 10 + number}
    blocks = [block.model_copy(update={**steps, **length, "round": index}) for index in range(9)]
    settings = {"num_threads": number + 1}
    update = {"blocks": blocks, "settings": settings, "all_settings": settings}
    return trial.model_copy(update=update)
