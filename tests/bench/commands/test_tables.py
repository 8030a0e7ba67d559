"""The tables of commands keep every word at 80, 120 and 160 columns."""

import sys
from pathlib import Path

import pytest

from feedbench.bench.cli import main
from feedbench.bench.plan.accelerators import accelerators

RESULTS = Path(__file__).parents[3] / "results"
TRAININGS = [RESULTS / "clothing-training" / name for name in ("scratch", "tuned")]
WIDTHS = [80, 120, 160]


def output(monkeypatch, capsys, width, *arguments) -> str:
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setattr(sys, "argv", ["feedbench", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        main()
    assert not ended.value.code
    return capsys.readouterr().out


def assert_whole(text: str, width: int) -> None:
    table = [line for line in text.splitlines() if line.startswith(" ")]
    assert table
    assert "…" not in text
    assert max(map(len, table)) <= width


@pytest.mark.parametrize("width", WIDTHS)
def test_accelerators_shows_every_field_of_every_profile(monkeypatch, capsys, width):
    text = output(monkeypatch, capsys, width, "accelerators")
    assert_whole(text, width)
    words = set(text.replace(":", " ").split())
    for name, profile in accelerators().items():
        assert {name, f"{profile.images_per_second:,.0f}", str(profile.batch_size)} <= words
        texts = (profile.device, profile.network_text(), profile.precision)
        assert {word for text in texts for word in text.split()} <= words, name
        assert f"{name}: {profile.source}." in " ".join(text.split())


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("folder", ["clothing-cpu", "limits/clothing", "limits/imagenet"])
def test_show_cuts_no_cell_of_a_published_record(monkeypatch, capsys, width, folder):
    assert_whole(output(monkeypatch, capsys, width, "show", RESULTS / folder), width)


@pytest.mark.parametrize("width", WIDTHS)
def test_compare_names_each_training_in_its_heading(monkeypatch, capsys, width):
    text = output(monkeypatch, capsys, width, "compare", *TRAININGS)
    assert_whole(text, width)
    headings = [line.split() for line in text.splitlines() if "scratch" in line]
    assert ["scratch", "tuned"] in headings
