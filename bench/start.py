"""Where the command `feedbench` starts: until the command is known, Ctrl-C ends it at once."""

from __future__ import annotations

import signal


def main() -> None:
    """Run the command line.

    Its imports take some tenths of a second, and Ctrl-C in one of them would print a traceback. So
    it ends the process silently, as it ends other programs, until `interrupt_on_termination`.
    """
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # not where it is ignored
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from feedbench.bench.cli import main as run_command

    run_command()
