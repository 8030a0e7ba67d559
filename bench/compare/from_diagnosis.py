"""What can be compared of a diagnosis: the rates of its parts, the stall and the bottleneck."""

from __future__ import annotations

from feedbench.bench.analysis.stats import Rates
from feedbench.bench.compare.outcome import Measured, measured
from feedbench.bench.compare.subject import (
    Facts,
    NamedRate,
    Stall,
    Subject,
    code_facts,
    condition_facts,
    digest_text,
    flat,
    recipe_facts,
    spec_facts,
)
from feedbench.bench.diagnose.ceilings import Ceiling, with_proven_blocks
from feedbench.bench.diagnose.certainty import busy
from feedbench.bench.diagnose.record import DiagnosisRecord, Part
from feedbench.bench.diagnose.table import label
from feedbench.bench.diagnose.verdict import consumer_name
from feedbench.bench.plan.plan import Choice
from feedbench.bench.results.kinds import DiagnosisResult

END_TO_END = "end to end"


def of_diagnosis(result: DiagnosisResult) -> Subject:
    """Return what can be compared of a diagnosis."""
    record, diagnosis = result.record, result.diagnosis
    parts = zip(record.parts, diagnosis.ceilings, strict=True)
    cause = None if diagnosis.bottleneck is None else diagnosis.bottleneck.cause
    loader = Choice(loader=record.loader, settings=record.settings)
    return Subject(
        path=result.path,
        command="diagnose",
        family="diagnose",
        measured=f"{record.images:,} images → {loader} → {consumer_name(record)}",
        facts=_facts(result),
        rates={label(ceiling): _rate(part, ceiling) for part, ceiling in parts},
        stall=Stall(diagnosis.stall, cause),
        busy=busy(record),
    )


def _rate(part: Part, ceiling: Ceiling) -> NamedRate:
    """Return the rate of a part; only that of loader and consumer together is judged."""
    rates = with_proven_blocks(part).rates
    is_whole = part.name == END_TO_END
    return NamedRate(
        measured=_measured(rates, ceiling),
        error=part.error,
        is_judged=is_whole,
        reads_images=part.name not in ("consumer", "transfer"),
    )


def _measured(rates: Rates, ceiling: Ceiling) -> Measured | None:
    return measured(rates) if rates and ceiling.images_per_second is not None else None


def _facts(result: DiagnosisResult) -> Facts:
    record: DiagnosisRecord = result.record
    facts = condition_facts(record, result.path.parent, record.images)
    profile = record.accelerator or {}
    own = {} if record.own is None else {"loader's file": digest_text(record.own.digest)}
    consumer = {"consumer": record.consumer, "images/s": profile.get("images_per_second")}
    return {
        **facts,
        "consumer": flat({name: value for name, value in consumer.items() if value is not None}),
        "batches": spec_facts(record.spec),
        "recipe": recipe_facts(record.recipe) if record.consumer == "train" else {},
        "cache": {"cache state": record.cache_state},
        "machine": (facts["machine"] or {"cores": str(record.cores)}) | _devices(record),
        "loader": {"loader": str(Choice(loader=record.loader, settings=record.settings))},
        "code": {**code_facts(record.model), **own},
    }


def _devices(record: DiagnosisRecord) -> dict[str, str]:
    """Return how many devices trained, if the record says so."""
    return {"devices": str(len(record.devices))} if record.devices else {}
