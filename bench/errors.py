"""The tree of what a user of the bench can fix, every text one line; and the exit codes.

BenchError
├── PlanError        a suite, an option or a recipe that is not valid
├── RecordError      a result folder that cannot be read or written
├── TrialError       a trial that could not be measured, with its reason
│   └── ChildDied    its process ended by itself, by a signal or by the kernel
├── SampleError      the generated sample of images
└── InterruptedRun   what was done before Ctrl-C
"""

NOTHING_DONE = 1  # nothing could be measured, trained or compared; or the output was lost
WRONG_USE = 2  # an option, a file or a folder that the user can fix
INTERRUPTED = 130  # by Ctrl-C


class BenchError(Exception):
    """Whatever the user of the bench can mend; its text is one line."""


class InterruptedRun(BenchError):
    """A person stopped the command; the text says what is kept, and how to go on.

    The command line's library takes a KeyboardInterrupt for itself, and its text with it.
    """


class PlanError(BenchError):
    """The measurement plan is invalid: a suite, an option, a recipe or a best.toml."""


class RecordError(BenchError):
    """A result folder or one of its files cannot be read or written."""


class TrialError(BenchError):
    """A trial ended before it was measured."""


class ChildDied(TrialError):
    """A child process ended and gave no answer."""


class SampleError(BenchError):
    """The sample of images cannot be made as asked."""
