"""The help of each command names every option whole, in a terminal of 80 columns."""

import re
import sys

import pytest
import typer

from feedbench.bench.cli import COMMANDS, command_app, main


@pytest.mark.parametrize("command", COMMANDS)
def test_no_name_of_an_option_is_cut_at_80_columns(command, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr(sys, "argv", ["feedbench", command, "--help"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert not ended.value.code
    shown = capsys.readouterr().out
    assert max(map(len, shown.splitlines())) <= 80
    assert "…" not in shown
    for parameter in typer.main.get_command(command_app(command)).params:
        for name in (*parameter.opts, *parameter.secondary_opts):
            if name.startswith("--"):
                assert re.search(rf"{name}(?![\w-])", shown), name
