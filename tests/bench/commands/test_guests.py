"""Every command says what another library needs before it starts anything."""

import sys
from dataclasses import replace

import pytest

from feedbench.bench.cli import main
from feedbench.loaders import LOADERS
from feedbench.loaders.guests.package import Package

SAID = (
    "feedbench: torch: needs the package no_such_package, which is not installed: pip install "
    "'feedbench[torch]'\n"
)
SUITE = "[[trial]]\nloader = 'torch'\n"
COMMANDS = [
    ["bench", "{photos}", "--loader", "torch"],
    ["bench", "{photos}", "--suite", "torch.toml"],
    ["tune", "{photos}", "--loader", "torch"],
    ["tune", "{photos}", "--set", "torch.num_workers=2"],
    ["diagnose", "{photos}", "--loader", "torch"],
    ["train", "{photos}", "--loader", "torch"],
    ["limits", "{photos}", "--loader", "torch"],
    ["pixels", "{photos}", "--loader", "turbo", "--loader", "torch"],
    ["pixels", "{photos}", "--set", "torch.num_workers=2"],
    ["export", "torch"],
]


@pytest.fixture(autouse=True)
def _without_torch(monkeypatch, tmp_path):
    package = Package("torch", ("no_such_package",))
    monkeypatch.setitem(LOADERS, "torch", replace(LOADERS["torch"], package=package))
    monkeypatch.chdir(tmp_path)


def call(monkeypatch, *arguments) -> int:
    monkeypatch.setattr(sys, "argv", ["feedbench", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        main()
    return ended.value.code or 0


@pytest.mark.parametrize("arguments", COMMANDS, ids=" ".join)
def test_a_missing_package_is_an_error_of_one_line(
    monkeypatch, capsys, tmp_path, tiny_photos, arguments
):
    (tmp_path / "torch.toml").write_text(SUITE)
    given = [part.format(photos=tiny_photos) for part in arguments]
    assert call(monkeypatch, *given) == 2
    assert capsys.readouterr().err == SAID
    assert [path.name for path in tmp_path.iterdir()] == ["torch.toml"]


def test_loaders_marks_it_and_says_how_to_install_it(monkeypatch, capsys):
    assert call(monkeypatch, "loaders") == 0
    shown = capsys.readouterr().out
    assert (
        "needs no_such_package, not installed: pip install 'feedbench[torch]'\n"
        in shown.partition("\ntorch: ")[2]
    )
