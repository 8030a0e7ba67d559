"""The help of each command in a terminal of 80 columns: whole names, and whole lines."""

import re
import sys
from itertools import pairwise

import pytest
import typer

from feedbench.bench.cli import COMMANDS, command_app, main


@pytest.fixture
def help_of(monkeypatch, capsys):
    """The help of a command in a terminal of 80 columns."""

    def show(command):
        monkeypatch.setenv("COLUMNS", "80")
        monkeypatch.setattr(sys, "argv", ["feedbench", command, "--help"])
        with pytest.raises(SystemExit) as ended:
            main()
        assert not ended.value.code
        return capsys.readouterr().out

    return show


@pytest.mark.parametrize("command", COMMANDS)
def test_a_paragraph_is_broken_only_where_the_line_is_full(command, help_of):
    above = help_of(command).partition("╭")[0]
    lines = [line.strip() for line in above.splitlines()]
    for line, following in pairwise(lines):
        assert not (line and following) or len(f"{line} {following.split()[0]}") > 78, line


@pytest.mark.parametrize("command", COMMANDS)
def test_no_name_of_an_option_is_cut_at_80_columns(command, help_of):
    shown = help_of(command)
    assert max(map(len, shown.splitlines())) <= 80
    assert "…" not in shown
    for parameter in typer.main.get_command(command_app(command)).params:
        for name in (*parameter.opts, *parameter.secondary_opts):
            if name.startswith("--"):
                assert re.search(rf"{name}(?![\w-])", shown), name
