"""Injects each bottleneck, diagnoses it, then undoes it and compares with the prediction."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from statistics import mean, median
from typing import Any, NamedTuple

from feedbench.bench.accelerator import Accelerator
from feedbench.bench.diagnose.measure import diagnose
from feedbench.bench.diagnose.setup import DiagnosisPlan, DiagnosisTiming
from feedbench.bench.diagnose.verdict import Diagnosis, derive_diagnosis
from feedbench.bench.errors import InjectionError, TrialError
from feedbench.bench.plan.plan import Choice, Failures, PixelCheck, Plan, Timing
from feedbench.bench.record import CacheState, ConsumerName
from feedbench.bench.selftest.case import WITHOUT, Case, Injection, WhatIf
from feedbench.bench.selftest.inject import Target, injected, remove_groups
from feedbench.bench.selftest.packs import with_pack
from feedbench.bench.selftest.photos import photos
from feedbench.bench.selftest.report import CaseResult, Checked
from feedbench.bench.trials.bench import MANIFEST, Bench
from feedbench.bench.trials.cache_state import Files
from feedbench.bench.trials.internal_loaders import register
from feedbench.loaders import BatchSpec, Manifest, scan
from feedbench.trainer import Recipe

OnProgress = Callable[[str], None]
# Small batches: what is prepared ahead when a cold block begins does not come from the disk in it.
_SPEC: dict[str, Any] = {"batch_size": 16, "image_size": 224}
_RECIPE = Recipe(alpha=0.35)
_ROUNDS = 5  # blocks of each side of a comparison
# If the rate before the change differs by more from that of the diagnosis, the machine has become
# faster or slower meanwhile: both are measured again.
_DRIFT = 0.07
_ATTEMPTS = 3
_HARDLY_WAITS = 0.03  # share of its time that a consumer waits which is the limit
_BLOCK_S, _WARM_UP_S = 1.5, 0.8
_TIMING = DiagnosisTiming(
    stage_s=0.25, block_s=0.8, end_to_end_s=1.5, warm_up_s=_WARM_UP_S, rounds=5, budget_s=60.0
)


class _Rate(NamedTuple):
    """Images per second, and the share of its time for which the consumer waits."""

    images_per_second: float
    waits: float


def run_case(case: Case, folder: Path, on_progress: OnProgress) -> CaseResult:
    """Inject a bottleneck, diagnose it, and measure what the diagnosis predicts.

    Args:
        case: the bottleneck.
        folder: of the whole self-test; the case gets its own in it.
        on_progress: called with a line of text for each step.
    """
    choice = Choice(loader=case.loader, settings=case.settings)
    result = CaseResult(name=case.name, loader=str(choice), expected=case.cause)
    try:
        return _Battery(case, folder, on_progress).result(result)
    except InjectionError as error:
        return result.model_copy(update={"skipped": str(error)})
    except TrialError as error:
        return result.model_copy(update={"error": str(error)})
    finally:
        remove_groups()


class _Battery:
    """One case: its images, and what its injection is relative to."""

    def __init__(self, case: Case, folder: Path, on_progress: OnProgress) -> None:
        register()
        self._on_progress = on_progress
        self._folder = folder / case.name.replace(" ", "-").replace(",", "").replace("'", "")
        source = photos(folder / "images", case.photos)
        self._manifest = scan(source).only("train")
        spec = BatchSpec.model_validate({**_SPEC, **case.spec})
        self._case = with_pack(case, self._manifest, spec, self._folder / "pack")
        self._target = Target(source, 1.0, _mean_bytes(self._manifest))
        self._target = replace(self._target, images_per_second=self._rate_from_memory())

    def result(self, result: CaseResult) -> CaseResult:
        """Return the result with the diagnosis and the measured predictions."""
        for attempt in range(1, _ATTEMPTS + 1):
            result = self._attempt(result).model_copy(update={"attempts": attempt})
            if result.drift <= _DRIFT:
                break
            self._on_progress(f"the machine's speed changed by {result.drift:.0%}")
        return result

    def _attempt(self, result: CaseResult) -> CaseResult:
        self._on_progress("diagnosis")
        with injected(self._case.injection, self._target):
            diagnosis = self._diagnosis()
        if diagnosis.bottleneck is None or diagnosis.stall is None:
            raise TrialError(diagnosis.verdict)
        checked = [self._checked(what_if, diagnosis) for what_if in self._case.what_ifs]
        return result.model_copy(
            update={
                "named": diagnosis.bottleneck.cause,
                "verdict": diagnosis.verdict,
                "end_to_end": diagnosis.end_to_end,
                "stall": diagnosis.stall.value,
                "shares": {part.cause: part.stall for part in diagnosis.shares},
                "checked": checked,
            }
        )

    def _rate_from_memory(self) -> float:
        """Return the rate of the loader alone with warm files, on the cores of the injection."""
        self._on_progress("the loader alone, from memory")
        cores_alone = Injection(cores=self._case.injection.cores)
        plan = replace(self._plan(WhatIf(WITHOUT), 1.0), consumer="drain", accelerator=None)
        alone = self._medians({"alone": (_warm(plan), cores_alone)})["alone"]
        return alone.images_per_second

    def _diagnosis(self) -> Diagnosis:
        plan = self._plan(WhatIf(WITHOUT), self._target.images_per_second)
        diagnosis_plan = DiagnosisPlan(
            choice=plan.choices[0],
            spec=plan.spec,
            recipe=plan.recipe,
            consumer=plan.consumer,
            accelerator=plan.accelerator,
            cache_state=plan.timing.cache_state,
        )
        folder = self._new_folder("diagnosis")
        record = diagnose(diagnosis_plan, self._manifest, folder, lambda event: None, _TIMING)
        return derive_diagnosis(record)

    def _checked(self, what_if: WhatIf, diagnosis: Diagnosis) -> Checked:
        """Make a change, and compare the rate with its prediction.

        The rates with and without the change are measured in turns, so that the machine's drift
        since the diagnosis cancels out; where the consumer has become the limit, no drift shows.
        """
        self._on_progress(f"what if: {what_if.change}")
        rate = self._target.images_per_second
        before, after = self._plan(WhatIf(WITHOUT), rate), self._plan(what_if, rate)
        injection = self._case.injection if what_if.injection is None else what_if.injection
        rates = self._medians(
            {"before": (before, self._case.injection), "after": (after, injection)}
        )
        drift = rates["before"].images_per_second / (diagnosis.end_to_end or 1.0)
        measured = _without_drift(rates["after"], drift)
        return Checked(
            change=what_if.change, measured=measured, drift=drift, **_predicted(what_if, diagnosis)
        )

    def _medians(self, plans: dict[str, tuple[Plan, Injection]]) -> dict[str, _Rate]:
        """Return the median rate of each plan, from blocks in turns."""
        with ExitStack() as stack:
            benches = {}
            for name, (plan, injection) in plans.items():
                bench = Bench(plan, self._manifest, self._new_folder(name), lambda event: None)
                stack.callback(bench.close)
                benches[name] = bench, injection
            for name, round_index in _turns(plans):
                bench, injection = benches[name]
                with injected(injection, self._target):
                    bench.time_block(0, round_index)
            return {name: _median_rate(bench) for name, (bench, _) in benches.items()}

    def _plan(self, what_if: WhatIf, images_per_second: float) -> Plan:
        """Return the measurement of a change; of the case itself if it changes nothing."""
        case = self._case
        settings = case.settings if what_if.loader is None else {}
        choice = Choice(
            loader=what_if.loader or case.loader, settings={**settings, **what_if.settings}
        )
        accelerator: Accelerator | None = None
        consumer: ConsumerName = "train"
        if case.consumer is not None:
            rate = case.consumer * images_per_second * what_if.accelerators
            accelerator, consumer = _accelerator(rate, {**_SPEC, **case.spec}), "emulated:known"
        return Plan(
            choices=(choice,),
            spec=BatchSpec.model_validate({**_SPEC, **case.spec, **what_if.spec}),
            recipe=_RECIPE,
            consumer=consumer,
            timing=_timing(what_if.state or case.state),
            failures=Failures(),
            pixels=PixelCheck(),
            accelerator=accelerator,
        )

    def _new_folder(self, name: str) -> Path:
        count = len(list(self._folder.glob("*"))) if self._folder.exists() else 0
        folder = self._folder / f"{count}-{name}"
        folder.mkdir(parents=True)
        self._manifest.write(folder / MANIFEST)
        return folder


def _turns(plans: dict[str, tuple[Plan, Injection]]) -> list[tuple[str, int]]:
    """Return the order of the blocks: in turns, unless one side would evict the other's files."""
    states = {plan.timing.cache_state for plan, _ in plans.values()}
    rounds = range(_ROUNDS)
    if len(states) > 1:
        return [(name, round_index) for name in plans for round_index in rounds]
    return [(name, round_index) for round_index in rounds for name in plans]


def _timing(state: CacheState) -> Timing:
    return Timing(
        blocks=_ROUNDS,
        block_seconds=_BLOCK_S,
        warm_up_seconds=_WARM_UP_S,
        time_limit=120.0,
        cache_state=state,
    )


def _warm(plan: Plan) -> Plan:
    return replace(plan, timing=_timing("warm"))


def _mean_bytes(manifest: Manifest) -> float:
    return Files(manifest).size(range(len(manifest))) / len(manifest)


def _accelerator(images_per_second: float, spec: dict[str, Any]) -> Accelerator:
    return Accelerator(
        device="clock",
        images_per_second=images_per_second,
        batch_size=spec["batch_size"],
        image_size=spec["image_size"],
        network=_RECIPE.network,
        alpha=_RECIPE.alpha,
        precision="none",
        source="the self-test",
    )


def _median_rate(bench: Bench) -> _Rate:
    (trial,) = bench.trials
    if not trial.blocks:
        raise TrialError(f"{trial.loader}: {trial.error}")
    return _Rate(
        median(block.images_per_second for block in trial.blocks),
        mean(sum(block.wait_s) / block.seconds for block in trial.blocks),
    )


def _without_drift(rate: _Rate, drift: float) -> float:
    """Return a rate as at the machine's speed before; a consumer that never waits has no drift."""
    return rate.images_per_second / (1.0 if rate.waits < _HARDLY_WAITS else drift)


def _predicted(what_if: WhatIf, diagnosis: Diagnosis) -> dict[str, Any]:
    """Return the predicted rate of a change, with its range.

    Raises:
        TrialError: the diagnosis does not predict it.
    """
    if what_if.change == WITHOUT:
        assert diagnosis.bottleneck is not None
        return {"predicted": diagnosis.bottleneck.rate_without or diagnosis.end_to_end}
    for prediction in diagnosis.predictions:
        if prediction.change == what_if.change:
            low, high = prediction.low, prediction.high
            return {"predicted": prediction.images_per_second, "low": low, "high": high}
    raise TrialError(f"{what_if.change}: the diagnosis does not predict it")
