"""The last line of a training that does not finish: why it ended, and the command to resume it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from feedbench.bench.cluster.hosts import Cluster

_ALL = "start all workers again"


@dataclass(frozen=True)
class Ending:
    """What there is to say when a training ends early.

    Attributes:
        folder: of the training.
        again: the command that resumes it, on the chief of several workers.
        cluster: the workers that train together, and which this is; None for one machine.
        is_resumed: whether it was resumed itself.
    """

    folder: Path
    again: str
    cluster: Cluster | None
    is_resumed: bool

    @property
    def keeps_folder(self) -> bool:
        """Whether the folder stays although nothing was trained, since it is older or has a log."""
        return self.is_resumed or self._is_worker

    def stopped(self) -> str:
        """Return the line after SIGTERM or SIGHUP."""
        return f"Stopped; {self._next('a checkpoint is saved. To resume: ')}"

    def interrupted(self) -> str:
        """Return the line after Ctrl-C."""
        return f"interrupted; {self._next('to resume from the last checkpoint: ')}"

    def interrupted_if_stuck(self) -> str:
        """Return the line after Ctrl-C if it is unknown whether there is a checkpoint."""
        if self._is_worker:
            return f"interrupted; {self._next()}"
        return f"interrupted; to resume from the last checkpoint, if there is one: {self.again}"

    def lost(self, line: str, code: int) -> str:
        """Return the line after another worker has ended; without a failure, as it is.

        Args:
            line: why it ended.
            code: exit code of this process.
        """
        return f"{line}; {self._next()}" if code else line

    def at_once(self, terminal: int, line: str, code: int) -> None:
        """End this process, whatever its main thread does, because another worker has ended.

        Args:
            terminal: file descriptor of what was standard error at the start.
        """
        from feedbench.bench.training.folder import remove_if_nothing_kept
        from feedbench.bench.training.stuck import end_at_once

        line = self.lost(line, code)
        if not self.keeps_folder:
            remove_if_nothing_kept(self.folder)
        end_at_once(terminal, line, code)

    @property
    def _is_worker(self) -> bool:
        return self.cluster is not None and not self.cluster.is_chief

    def _next(self, before: str = "") -> str:
        """Return how to go on.

        Args:
            before: words before the command, if there is a checkpoint.
        """
        from feedbench.trainer import CHECKPOINT

        if self._is_worker:
            return f"{_ALL}, the chief with --resume if it has a checkpoint"
        if not (self.folder / CHECKPOINT).exists():
            return f"there is no checkpoint; {'start again' if self.cluster is None else _ALL}"
        if self.cluster is None:
            return f"{before}{self.again}"
        return f"{before}start the other workers as before, and the chief with: {self.again}"
