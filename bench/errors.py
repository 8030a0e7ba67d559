"""The exceptions that bench raises for mistakes a user can fix, and the exit codes.

The text of every exception is one line.

BenchError
├── PlanError        a suite, an option or a recipe that is not valid
├── RecordError      a result folder that cannot be read or written
├── TrialError       a trial that could not be measured
│   └── ChildDied    its process exited or was killed
├── SampleError      images that cannot be generated
├── InjectionError   a bottleneck that this machine does not let the self-test inject
├── PeerLost         another worker of a training on several machines has ended
└── InterruptedRun   a command stopped by Ctrl-C
"""

NOTHING_DONE = 1  # nothing could be measured, trained or compared, or the output was lost
WRONG_USE = 2  # the user must fix an option, a file or a folder
SLOWER = 3  # a comparison found a rate that is certainly slower than --fail-if-slower allows
INTERRUPTED = 130  # Ctrl-C: 128 + the number of the signal


class BenchError(Exception):
    """Base class of the mistakes that a user can fix; the text is one line."""


class InterruptedRun(BenchError):
    """The user stopped the command; the text says what was saved and how to resume.

    It replaces KeyboardInterrupt, which typer catches without printing its text.
    """


class PlanError(BenchError):
    """The measurement plan is invalid: a suite, an option, a recipe or a best.toml."""


class RecordError(BenchError):
    """A result folder or one of its files cannot be read or written."""


class TrialError(BenchError):
    """A trial ended before it was measured.

    Attributes:
        details: traceback of the user's own code; empty if that did not fail.
    """

    def __init__(self, text: str, details: str = "") -> None:
        super().__init__(text)
        self.details = details


class ChildDied(TrialError):
    """A child process ended without an answer."""


class SampleError(BenchError):
    """The requested images cannot be generated."""


class InjectionError(BenchError):
    """The self-test cannot inject a bottleneck on this machine."""


class PeerLost(BenchError):
    """A training on several machines ended because another worker did.

    Attributes:
        code: exit code of this worker; 0 if the chief was asked to stop.
    """

    def __init__(self, text: str, code: int = NOTHING_DONE) -> None:
        super().__init__(text)
        self.code = code
