"""The tree of what a user of the trainer can mend; every text is one line.

TrainerError
├── RecipeError       a network, or a combination of fields, that cannot be built
├── WeightsError      weights to begin with that cannot be had or do not fit
├── CheckpointError   a checkpoint that cannot be written, read or gone on with
└── DivergedError     a loss that is no number any more
"""


class TrainerError(Exception):
    """Whatever the user of the trainer can mend; its text is one line."""


class RecipeError(TrainerError, ValueError):
    """The recipe asks for a network that cannot be built."""


class WeightsError(TrainerError):
    """The weights to begin with cannot be had, or belong to another network."""


class CheckpointError(TrainerError):
    """A checkpoint cannot be written or read, or is another run's."""


class DivergedError(TrainerError):
    """The loss is not finite: training on would be for nothing."""
