import itertools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from feedbench.bench.record import Block, Trial

CLASSES = ("circle", "square")


@pytest.fixture(scope="session")
def tiny_photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """train, validation and test folders of two classes that a network can tell apart."""
    root = tmp_path_factory.mktemp("tiny") / "photos"
    random = np.random.default_rng(0)
    for split, count in (("train", 24), ("validation", 4), ("test", 4)):
        for label, name in enumerate(CLASSES):
            folder = root / split / name
            folder.mkdir(parents=True)
            for number in range(count):
                pixels = random.integers(0, 120, (60, 80, 3)) + 110 * label
                Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{number}.jpg")
    return root


class Pictures:
    """The figures that were saved, and what can be seen on them."""

    def __init__(self) -> None:
        self.saved: list = []

    def visible(self, figure) -> list:
        """Return every text that is drawn."""
        found = list(figure.texts)
        for axes in figure.axes:
            found += [*axes.texts, axes.title, axes._left_title, axes.xaxis.label, axes.yaxis.label]
            if axes.get_legend() is not None:
                found += axes.get_legend().get_texts()
            if axes.axison:
                for axis in (axes.xaxis, axes.yaxis):
                    found += [tick.label1 for tick in axis._update_ticks()]
        return [text for text in found if text.get_visible() and text.get_text().strip()]

    def texts(self, figure) -> list[str]:
        return [text.get_text() for text in self.visible(figure)]

    def faults(self, figure) -> list[str]:
        """Return the texts that overlap each other, or that the edge cuts."""
        renderer = figure.canvas.get_renderer()
        boxes = [
            (text.get_text(), text.get_window_extent(renderer)) for text in self.visible(figure)
        ]
        edge = figure.bbox
        cut = [
            f"{name!r} is cut"
            for name, box in boxes
            if box.x0 < -1 or box.y0 < -1 or box.x1 > edge.x1 + 1 or box.y1 > edge.y1 + 1
        ]
        pairs = itertools.combinations(boxes, 2)
        return cut + [
            f"{one!r} overlaps {other!r}"
            for (one, first), (other, second) in pairs
            if min(first.x1, second.x1) - max(first.x0, second.x0) > 1
            and min(first.y1, second.y1) - max(first.y0, second.y0) > 2
        ]


@pytest.fixture
def pictures(monkeypatch: pytest.MonkeyPatch) -> Pictures:
    """Return the figures that are saved during a test, to look at their texts."""
    from matplotlib.figure import Figure

    pictures, save = Pictures(), Figure.savefig

    def savefig(figure, *args, **kwargs) -> None:
        save(figure, *args, **kwargs)
        figure.canvas.draw()
        pictures.saved.append(figure)

    monkeypatch.setattr(Figure, "savefig", savefig)
    return pictures


@pytest.fixture(scope="session")
def trial() -> Callable[..., Trial]:
    """Return a function that makes the record of a trial from the rates of its blocks."""
    return recorded


def recorded(loader: str, rates: list[float], **values) -> Trial:
    fields = {"peak_memory_bytes": 100, "consumer": "train", **values}
    cpu_s, wait = fields.pop("cpu_s", 1.0), fields.pop("wait", 0.1)
    gpus = fields.pop("gpus", [])
    blocks = [
        Block(
            round=round_index,
            seconds=2.0,
            images=round(rate * 2),
            wait_s=[wait],
            step_s=[1.9],
            cpu_s=cpu_s,
            disk_read_bytes=7,
            gpus=gpus,
        )
        for round_index, rate in enumerate(rates)
    ]
    return Trial(
        loader=loader,
        settings={},
        all_settings={},
        spec={},
        recipe={},
        images=10,
        blocks=blocks,
        **fields,
    )
