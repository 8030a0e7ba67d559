"""The page that lists every field of every record, from the models that read and write them."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from tables import cell, code, table

from feedbench.bench.analysis.best import Best
from feedbench.bench.analysis.summary import Summary
from feedbench.bench.compare.history import HistoryEntry
from feedbench.bench.diagnose.record import DiagnosisRecord
from feedbench.bench.diagnose.verdict import Diagnosis
from feedbench.bench.limits.limits import LimitsRecord, MachineLimits
from feedbench.bench.monitor.record import FitFigures, FitRecord
from feedbench.bench.pixels.result import PixelComparison
from feedbench.bench.record import Trial
from feedbench.bench.results.comparison import Comparison
from feedbench.bench.selftest.report import BatteryResult
from feedbench.bench.study.report import StudyReport
from feedbench.bench.training.rate_check import RateCheck
from feedbench.bench.tune.record import TuneRecord

_TITLE = """# Record fields

Generated from the models that write and read these files. A name ends with its unit: `_s` is
seconds, `_bytes` bytes. Where a format has changed, `schema_number` says which one a file has;
older ones remain readable. `feedbench show FOLDER --json FILE` writes the derived values.

"""
# What these fields mean in every record that has them without saying more.
_COMMON = {
    "schema_number": "version of this format",
    "loader": "name of the loader",
    "settings": "of the loader, by name",
    "spec": "the batch spec",
    "recipe": "the training without its data; empty without a trainer",
    "low": "lower end of the interval; None without one",
    "high": "upper end of the interval; None without one",
    "value": "the median",
    "blocks": "the timed blocks",
    "error": "why there is no result; None if there is one",
}
# The files of a result folder, what each holds, and the model of one record in it.
_FILES: tuple[tuple[str, str, type[BaseModel]], ...] = (
    ("trials.jsonl", "raw, one trial per line, of `bench`, `tune`, `limits` and FitMonitor", Trial),
    ("summary.json", "derived from `trials.jsonl` of a bench", Summary),
    ("best.toml", "the choice of `bench` or `tune`, for `train`, `export` and `--loader`", Best),
    ("tune.json", "a search and its decisions; its blocks are in `trials.jsonl`", TuneRecord),
    ("limits-record.json", "raw: measurements of `limits` other than its trials", LimitsRecord),
    ("limits.json", "derived from both", MachineLimits),
    ("diagnosis-record.json", "raw: the parts that `diagnose` measured", DiagnosisRecord),
    ("diagnosis.json", "derived from it", Diagnosis),
    ("fit.json", "what FitMonitor recorded; its blocks are in `trials.jsonl`", FitRecord),
    ("figures of fit.json", "as `show --json` derives them", FitFigures),
    ("pixels.json", "the comparison of pixels", PixelComparison),
    ("compare.json", "a comparison of runs", Comparison),
    ("the file of --history", "one run per line", HistoryEntry),
    ("study.json", "the results of a study", StudyReport),
    ("selftest.json", "the self-test in full", BatteryResult),
    ("promise of training.json", "the rate check; see the table of `train`'s files", RateCheck),
)


def records_page() -> str:
    """Return the page: one heading per file, and below it the models of its parts."""
    parts, described = [_TITLE], set[type[BaseModel]]()
    for file, what, model in _FILES:
        parts.append(f"## {file}\n\n{what[0].upper()}{what[1:]}.\n\n")
        for one in _with_parts(model):
            if one not in described:
                described.add(one)
                parts.append(_described(one))
    return "".join(parts)


def _described(model: type[BaseModel]) -> str:
    summary = (model.__doc__ or "").split("\n\n")[0].replace("\n", " ")
    attributes = _attributes(model)
    rows = [
        (
            code(name),
            _type(field.annotation),
            cell(field.description or attributes.get(name) or _COMMON[name]),
        )
        for name, field in model.model_fields.items()
    ]
    return f"### {model.__name__}\n\n{summary}\n\n{table(('field', 'type', 'meaning'), rows)}\n"


def _attributes(model: type[BaseModel]) -> dict[str, str]:
    """Return what the docstring says of each attribute, one line each."""
    section = inspect.cleandoc(model.__doc__ or "").partition("\nAttributes:\n")[2]
    entries = re.findall(r"^ {4}(\w+(?:, \w+)*): (.+(?:\n {5,}.+)*)", section, re.MULTILINE)
    return {name: " ".join(text.split()) for names, text in entries for name in names.split(", ")}


def _with_parts(model: type[BaseModel]) -> Iterator[type[BaseModel]]:
    """Yield a model and those of its fields, each once, from the outside to the inside."""
    waiting, seen = [model], set[type[BaseModel]]()
    while waiting:
        one = waiting.pop(0)
        if one not in seen:
            seen.add(one)
            yield one
            for field in one.model_fields.values():
                waiting += _models(field.annotation)


def _models(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for argument in get_args(annotation) for model in _models(argument)]


def _type(annotation: Any) -> str:
    """Return a type in short, with links to the models that the page describes."""
    kind, arguments = get_origin(annotation), get_args(annotation)
    if kind is Annotated:
        return _type(arguments[0])
    if kind is Literal:
        return " \\| ".join(code(str(value)) for value in arguments)
    if kind in (Union, UnionType):
        return " \\| ".join(dict.fromkeys(map(_type, arguments)))
    if kind is not None:
        return f"{kind.__name__}\\[{', '.join(map(_type, arguments))}]"
    return _link(annotation)


def _link(annotation: Any) -> str:
    """Return the name of a class, as a link if it is a model."""
    name = {type(None): "None", Any: "any", ...: "…"}.get(annotation) or annotation.__name__
    return f"[{name}](#{name.lower()})" if _models(annotation) else cell(name)
