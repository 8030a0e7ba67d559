"""What a change of the user's code does to the threads of a pipeline."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from feedbench.bench.diagnose.tf_graph.threads import Load, Step, seconds_per_image


@dataclass(frozen=True)
class Pipeline:
    """The steps of a dataset and what takes its batches."""

    steps: tuple[Step, ...]
    load: Load

    @property
    def image_s(self) -> float:
        """Seconds per image."""
        return seconds_per_image(self.steps, self.load)

    def with_steps(self, steps: Sequence[Step]) -> Pipeline:
        """Return the pipeline with other steps, whose difference in work the cores feel too.

        Of work that goes, only the share counts for which the present work keeps cores busy; the
        rest was waiting.
        """
        before_s = sum(step.work_s for step in self.steps)
        more_s = sum(step.work_s for step in steps) - before_s
        busy = min(1.0, self.load.cpu_s / before_s) if before_s else 1.0
        cpu_s = self.load.cpu_s + more_s * (busy if more_s < 0 else 1.0)
        return self._with(steps, cpu_s=max(0.0, cpu_s))

    def with_threads(self, steps: Sequence[Step]) -> Pipeline:
        """Return the pipeline with the same work on other threads."""
        return self._with(steps, cpu_s=self.load.cpu_s)

    def _with(self, steps: Sequence[Step], cpu_s: float) -> Pipeline:
        return Pipeline(tuple(steps), replace(self.load, cpu_s=cpu_s))


Change = Callable[[Pipeline], Pipeline]


def gain(before: Pipeline, change: Change) -> float:
    """Return by how much a change raises the rate, as a share of the present rate."""
    after = change(before).image_s
    return before.image_s / after - 1 if after > 0 else 0.0


def unchanged(before: Pipeline) -> Pipeline:
    """The change of what the images are, not how fast they come."""
    return before


def prefetched(before: Pipeline) -> Pipeline:
    """Batches are prepared while the consumer works."""
    return before.with_threads([*before.steps, Step({}, buffers=True)])


def parallel(stage: int) -> Change:
    """A stage runs on all cores, and ahead of those that ask for its elements."""

    def change(before: Pipeline) -> Pipeline:
        workers = float(before.load.cores)
        return before.with_threads(
            [
                replace(step, workers=max(workers, step.workers or 1.0), buffers=True)
                if stage in step.work
                else step
                for step in before.steps
            ]
        )

    return change


def reworked(stage: int, factor: float = 1.0, work_s: float | None = None) -> Change:
    """A stage has less work.

    Args:
        factor: of its present work.
        work_s: seconds per image in place of its present work, on all cores.
    """

    def change(before: Pipeline) -> Pipeline:
        def step_after(step: Step) -> Step:
            if stage not in step.work:
                return step
            if work_s is None:
                return replace(step, work={**step.work, stage: step.work[stage] * factor})
            cores = float(before.load.cores)
            return replace(step, work={**step.work, stage: work_s}, workers=cores, buffers=True)

        return before.with_steps([step_after(step) for step in before.steps])

    return change


def cached(stage: int) -> Change:
    """No stage up to this one is run from the second epoch on."""

    def change(before: Pipeline) -> Pipeline:
        return before.with_steps(
            [
                replace(step, work={n: s for n, s in step.work.items() if n > stage or n < 0})
                for step in before.steps
            ]
        )

    return change


def inserted(stage: int, work_s: float, *, is_parallel: bool) -> Change:
    """Work comes back after a stage, in the thread that asks for elements or on all cores."""

    def change(before: Pipeline) -> Pipeline:
        workers = float(before.load.cores) if is_parallel else None
        new = Step({-1: work_s}, workers, is_parallel)
        steps: list[Step] = []
        for step in before.steps:
            steps += [step, new] if stage in step.work else [step]
        return before.with_steps(steps)

    return change
