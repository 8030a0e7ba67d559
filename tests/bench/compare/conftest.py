import sys

import pytest

from feedbench.bench.cli import main


@pytest.fixture
def call(monkeypatch, capsys):
    """Return a function that runs a command; returns exit code, output and errors."""

    def run(*arguments) -> tuple[int, str, str]:
        monkeypatch.setenv("COLUMNS", "120")
        monkeypatch.setattr(sys, "argv", ["feedbench", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        output = capsys.readouterr()
        return ended.value.code or 0, " ".join(output.out.split()), output.err

    return run
