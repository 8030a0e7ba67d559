"""What to run next, as commands to copy: the training with a choice, the report of a training."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from feedbench.bench.commands.again import with_consumer

if TYPE_CHECKING:
    from feedbench.bench.plan.plan import Plan
    from feedbench.bench.record import Trial


@dataclass(frozen=True)
class CommandLine:
    """What a command was given that the next one repeats.

    Attributes:
        arguments: all of them, from the name of the command.
        data: the source of the images.
        blacklist: the value of --blacklist.
        can_train: whether the source has a validation split.
    """

    arguments: Sequence[str]
    data: str
    blacklist: Path | None = None
    can_train: bool = True


def next_lines(given: CommandLine, plan: Plan, best: Path, trial: Trial | None) -> Iterator[str]:
    """Yield the command that trains with a choice, and one that measures the rate to expect.

    The latter only if nothing was trained.

    Args:
        plan: of the measurement.
        best: the file of the choice.
        trial: the record of the choice; None if there is none.
    """
    of_own = _of_own(plan, trial)
    words = ["feedbench", "train", given.data, "--loader", str(best)]
    words += chain.from_iterable({**_blacklist(given), **of_own, **_failures(plan)}.items())
    lack = "" if given.can_train else ", once the data have a validation split"
    yield f"Next{lack}: {shlex.join(words)}"
    if plan.consumer != "train":
        yield (
            "Its rate check will have nothing to compare with, since consumer "
            f"{plan.consumer} trained nothing; to measure that first: "
            f"{with_consumer(given.arguments, 'train', of_own)}"
        )


def _blacklist(given: CommandLine) -> dict[str, str]:
    return {} if given.blacklist is None else {"--blacklist": str(given.blacklist)}


def _failures(plan: Plan) -> dict[str, str]:
    """Return what is to be done with files that fail, as far as it is not the default."""
    from feedbench.bench.plan.plan import Failures

    defaults = Failures().model_dump()
    return {
        f"--{name.replace('_', '-')}": str(value)
        for name, value in plan.failures.model_dump().items()
        if value != defaults[name]
    }


def _of_own(plan: Plan, trial: Trial | None) -> dict[str, str]:
    """Return the options without which a built-in network does not take a function's batches."""
    from feedbench.bench.consumers.own_batches import other_range

    if trial is None or trial.own is None or plan.recipe.own_model:
        return {}
    own, spec = trial.own, plan.spec
    options = {}
    if own.image_size is not None:
        height, width = own.image_size
        if height == width != spec.image_size:
            options["--image-size"] = str(height)
    if own.value_range is not None and (values := other_range(*own.value_range, spec)):
        options["--value-range"] = values
    return options


def after_training(folder: Path) -> str:
    """Return the command that shows a training; a page with charts needs an optional package."""
    command = "report" if find_spec("vl_convert") else "show"
    return f"Next: {shlex.join(['feedbench', command, str(folder)])}"
