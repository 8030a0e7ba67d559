"""Names are printed as they are: neither markup nor escape sequences in them have an effect."""

import io
import signal

import pytest
from rich.table import Table
from rich.text import Text

from feedbench.bench.analysis.summary import summarize
from feedbench.bench.commands.output import print_parts
from feedbench.bench.plan.plan import Choice, Suite, make_plan
from feedbench.bench.report.progress import bench_progress
from feedbench.bench.report.summary_text import table_parts
from feedbench.bench.report.terminal import Terminal
from feedbench.bench.trials.events import TrialEvent

NAME = "photos[red]v2[/b]:smile:"
HOSTILE = "a\x1b[31mb\x07c\x9bd"


def table(name: str) -> Table:
    table = Table(name, title=name, caption=name)
    table.add_row(name)
    table.add_row(Text(name))
    return table


@pytest.fixture(params=[False, True], ids=["pipe", "terminal"])
def terminal(request) -> Terminal:
    return Terminal(file=io.StringIO(), width=80, force_terminal=request.param, no_color=True)


@pytest.mark.parametrize("make", [str, Text, table], ids=["line", "text", "table"])
def test_brackets_and_emoji_codes_in_names_are_printed(terminal, make):
    terminal.print(make(NAME))
    assert terminal.file.getvalue().count(NAME) == {str: 1, Text: 1, table: 5}[make]


class _Interrupted(io.StringIO):
    """A file whose reader presses Ctrl-C as soon as there is a text."""

    def write(self, text: str) -> int:
        is_first = not self.getvalue()
        written = super().write(text)
        if is_first:
            signal.raise_signal(signal.SIGINT)
        return written


def test_a_line_is_printed_once_if_ctrl_c_comes_while_it_is_written():
    terminal = Terminal(file=_Interrupted())
    with pytest.raises(KeyboardInterrupt):
        terminal.print("comparing pixels")
    terminal.print("interrupted")
    assert terminal.file.getvalue() == "comparing pixels\ninterrupted\n"


@pytest.mark.parametrize("make", [str, Text, table], ids=["line", "text", "table"])
def test_escape_sequences_in_names_reach_no_terminal(terminal, make):
    terminal.print(make(HOSTILE))
    printed = terminal.file.getvalue()
    assert "a�[31mbc" in printed  # Rich removes the bell itself
    assert not any(sign in printed for sign in ("\x1b[31m", "\x07", "\x9b"))


def test_names_and_reasons_with_brackets_do_not_end_a_bench(terminal, trial):
    choice = Choice(loader="turbo", settings={"cache": f"{NAME} {HOSTILE}"})
    failed = trial("turbo", [], error=f"no such file {NAME} {HOSTILE}")
    with bench_progress(terminal, make_plan(Suite(trial=[Choice(loader="turbo")]))) as on_event:
        on_event(TrialEvent("failed", choice, 1, 2, 0, failed))
    print_parts(terminal, table_parts(summarize([failed])))
    printed = terminal.file.getvalue().replace("\n", "")
    assert f"no such file {NAME}" in printed
    assert f"failed: turbo cache={NAME}" in printed
    assert "\x1b[31m" not in printed
