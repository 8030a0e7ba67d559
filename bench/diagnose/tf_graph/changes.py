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
        """Return the pipeline with other steps, whose difference in work the cores feel too."""
        less = sum(step.work_s for step in self.steps) - sum(step.work_s for step in steps)
        return self._with(steps, cpu_s=max(0.0, self.load.cpu_s - less))

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
    return before.with_threads([*before.steps, Step((), 0.0, buffers=True)])


def parallel(stage: int) -> Change:
    """A stage runs on all cores, and ahead of those that ask for its elements."""

    def change(before: Pipeline) -> Pipeline:
        workers = float(before.load.cores)
        return before.with_threads(
            [
                replace(step, workers=max(workers, step.workers or 1.0), buffers=True)
                if stage in step.stages
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
            if stage not in step.stages:
                return step
            if work_s is None:
                return replace(step, work_s=step.work_s * factor)
            return replace(step, work_s=work_s, workers=float(before.load.cores), buffers=True)

        return before.with_steps([step_after(step) for step in before.steps])

    return change


def cached(stage: int) -> Change:
    """Nothing up to a stage is done from the second epoch on."""

    def change(before: Pipeline) -> Pipeline:
        return before.with_steps(
            [
                replace(step, work_s=0.0) if step.stages and max(step.stages) <= stage else step
                for step in before.steps
            ]
        )

    return change
