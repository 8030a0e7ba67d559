"""A record with one wrong value is read, or refused in one line; it never ends in a traceback."""

import json
import math
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

import pytest

from feedbench.bench.analysis.summary import summarize
from feedbench.bench.commands.output import print_parts
from feedbench.bench.compare.compare import compare_runs
from feedbench.bench.compare.history import append_history, history_entry
from feedbench.bench.errors import BenchError
from feedbench.bench.html.kinds import report_of
from feedbench.bench.html.kinds.history import report_of_history
from feedbench.bench.report.csv_text import as_csv
from feedbench.bench.report.document import TableData
from feedbench.bench.report.markdown import as_markdown
from feedbench.bench.report.terminal import Terminal
from feedbench.bench.results.find import KINDS, find_record, read_result
from feedbench.bench.results.listing import facts_of
from feedbench.bench.results.parts import parts_of
from feedbench.bench.results.pytest_benchmark import as_pytest_benchmark
from feedbench.loaders import LoaderError
from feedbench.trainer import TrainerError

RESULTS = Path(__file__).parents[3] / "results"
SAVED = Path(__file__).parents[1] / "commands" / "records"
# One record of each kind, and of each way to make it.
RECORDS = [
    RESULTS / "clothing-cpu" / "trials.jsonl",
    RESULTS / "tutorial" / "bench" / "trials.jsonl",
    RESULTS / "tutorial" / "bench" / "summary.json",
    RESULTS / "limits" / "clothing" / "limits-record.json",
    RESULTS / "limits" / "clothing" / "limits.json",
    RESULTS / "tutorial" / "diagnosis" / "diagnosis-record.json",
    RESULTS / "tutorial" / "diagnosis" / "diagnosis.json",
    RESULTS / "tune-vs-grid" / "drain" / "tune-0.json",
    RESULTS / "range-study" / "study.json",
    RESULTS / "fit-clothing" / "fit.json",
    RESULTS / "clothing-training" / "tuned" / "training.json",
    RESULTS / "pixels-clothing" / "96-nearest.json",
    *sorted(SAVED.iterdir()),
]
BESIDE = ("trials.jsonl", "environment.json", "predictions.csv", "loader.toml", "recipe.toml")
REMOVED = object()
DAMAGES = (None, -1, "x", [], {}, REMOVED)
KEPT = 3  # items of a list: more are like them
ITEMS = {"parts": 99, "stages": 99, "epochs": 4, "checks": 1, "findings": 2, "trials": 9}
AT_ONCE = 7  # of the damages, how many a run of the tests passes over for each that it tries


@dataclass(frozen=True)
class Damage:
    """One value of a record, and what is in its place."""

    place: tuple[str | int, ...]
    value: Any

    def __str__(self) -> str:
        value = "removed" if self.value is REMOVED else json.dumps(self.value)
        return f"{'.'.join(map(str, self.place))} = {value}"


def shortened(value: Any, name: str = "") -> Any:
    if isinstance(value, dict):
        return {key: shortened(one, key) for key, one in value.items()}
    if isinstance(value, list):
        return [shortened(one) for one in value[: ITEMS.get(name, KEPT)]]
    return value


def places(value: Any, place: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Yield the place of each value; of the items of a list, those of the first."""
    if place:
        yield place
    if isinstance(value, dict):
        for key, one in value.items():
            yield from places(one, (*place, key))
    elif isinstance(value, list) and value:
        yield from places(value[0], (*place, 0))


def damaged(value: Any, damage: Damage) -> Any:
    first, *others = damage.place
    copy = dict(value) if isinstance(value, dict) else list(value)
    if others:
        copy[first] = damaged(copy[first], Damage(tuple(others), damage.value))
    elif damage.value is REMOVED:
        del copy[first]
    else:
        copy[first] = damage.value
    return copy


def read(path: Path) -> list[Any]:
    lines = path.read_text().splitlines() if path.suffix == ".jsonl" else [path.read_text()]
    return [shortened(json.loads(line)) for line in lines]


def write(path: Path, values: list[Any]) -> None:
    path.write_text("\n".join(map(json.dumps, values)))


def use(path: Path, base: Path) -> None:
    """Do all that can be done with a record."""
    result = read_result(path)
    parts = list(parts_of(result))
    print_parts(Terminal(width=80, file=StringIO()), parts)
    as_markdown(parts)
    for part in parts:
        if isinstance(part, TableData):
            as_csv(part)
    facts_of(result)
    report_of(result)
    for action in (lambda: as_pytest_benchmark(result), lambda: compare_runs([base, path])):
        try:
            action()
        except BenchError as error:  # kinds that cannot be compared; a wrong value is refused above
            check(error, path)


def use_or_refuse(path: Path, base: Path, damage: object) -> None:
    """Do the same with a damaged record, which may be refused in one line."""
    try:
        use(path, base)
    except (BenchError, LoaderError, TrainerError) as error:
        check(error, path)
    except Exception as error:
        error.add_note(str(damage)[:200])
        raise


def check(error: Exception, path: Path) -> None:
    assert len(str(error).splitlines()) == 1, error
    assert str(path.parents[1]) in str(error), error


@pytest.fixture(scope="module")
def copies(tmp_path_factory):
    """A function: the folder of a record, with a short copy of it, and another to damage."""

    def copy(record: Path) -> tuple[Path, Path, list[Any]]:
        around = tmp_path_factory.mktemp("record")
        folders = [around / name for name in ("base", "damaged")]
        values = read(record)
        for folder in folders:
            folder.mkdir()
            for name in BESIDE:
                if (record.parent / name).is_file() and record.parent != SAVED:
                    shutil.copy(record.parent / name, folder / name)
            if (folder / "trials.jsonl").is_file():
                write(folder / "trials.jsonl", read(folder / "trials.jsonl"))
            write(folder / record.name, values)
        return folders[0] / record.name, folders[1] / record.name, values

    return copy


def damages_of(values: list[Any]) -> list[Damage]:
    value = values if len(values) > 1 else values[0]
    found = [place for place in places(value) if len(place) > (1 if value is values else 0)]
    return [Damage(place, one) for place in found for one in DAMAGES]


def test_there_is_a_record_of_each_kind():
    kinds = {find_record(path)[1] for path in RECORDS}
    assert kinds == set(KINDS.values()) - {KINDS["loader.toml"]}


@pytest.mark.parametrize("record", RECORDS, ids=lambda path: "/".join(path.parts[-3:]))
def test_one_wrong_value_is_read_or_refused_in_one_line(record, copies):
    base, path, values = copies(record)
    use(path, base)
    for damage in damages_of(values)[::AT_ONCE]:
        whole = damaged(values if len(values) > 1 else values[0], damage)
        write(path, whole if len(values) > 1 else [whole])
        use_or_refuse(path, base, damage)


EXTREME = (math.nan, math.inf, 10**400, 1e308, 1e-320)
PLACES = [
    ("peak_memory_bytes",),
    *(("blocks", 0, name) for name in ("seconds", "images", "cpu_s", "disk_read_bytes")),
    *(("blocks", 0, name, 0) for name in ("wait_s", "step_s")),
]


@pytest.mark.parametrize("value", EXTREME, ids=["nan", "inf", "401 digits", "1e308", "1e-320"])
def test_a_number_that_no_measurement_gives_is_read_or_refused_in_one_line(value, copies):
    base, path, values = copies(RESULTS / "clothing-cpu" / "trials.jsonl")
    for place in PLACES:
        damage = Damage((0, *place), value)
        write(path, damaged(values, damage))
        use_or_refuse(path, base, damage)


def test_the_limits_of_a_machine_with_an_infinite_rate_are_refused_in_one_line(copies):
    base, path, (values,) = copies(RESULTS / "limits" / "clothing" / "limits-record.json")
    rates = json.dumps(values).replace('"rates": [', '"rates": [Infinity, ', 1)
    path.write_text(rates)
    with pytest.raises(BenchError) as raised:
        use(path, base)
    check(raised.value, path)


def test_a_core_with_fewer_samples_than_others_is_refused_in_one_line(copies):
    record = RESULTS / "diagnose-clothing" / "two-cores" / "diagnosis-record.json"
    base, path, (value,) = copies(record)
    part = next(n for n, one in enumerate(value["parts"]) if one["blocks"][0].get("host"))
    damage = Damage(("parts", part, "blocks", 0, "host", "cores", "0"), [0.5])
    write(path, [damaged(value, damage)])
    with pytest.raises(BenchError, match="cores: must have as many samples each, got 1 to 3"):
        use(path, base)


def numbers(value: Any) -> list[tuple[str | int, ...]]:
    """Return the places of all fractions among `places`."""
    found = []
    for place in places(value):
        one = value
        for part in place:
            one = one[part]
        if isinstance(one, float):
            found.append(place)
    return found


@pytest.mark.parametrize("number", ["1e999", "1e308"])
@pytest.mark.parametrize(
    "record",
    [record for record in RECORDS if record.suffix == ".json"],
    ids=lambda path: "/".join(path.parts[-3:]),
)
def test_a_number_of_hundreds_of_digits_is_read_or_refused_in_one_line(record, number, copies):
    base, path, (value,) = copies(record)
    for place in numbers(value):
        damage = Damage(place, math.inf)
        path.write_text(json.dumps(damaged(value, damage)).replace("Infinity", number))
        use_or_refuse(path, base, damage)


def test_an_environment_with_a_wrong_value_is_left_out_or_used(copies):
    base, path, _ = copies(RESULTS / "clothing-cpu" / "trials.jsonl")
    beside = path.with_name("environment.json")
    values = read(beside)
    for damage in damages_of(values):
        write(beside, [damaged(values[0], damage)])
        use(path, base)
    write(beside, [[]])
    use(path, base)


def test_a_history_with_a_wrong_value_is_read_or_refused_in_one_line(trial, tmp_path):
    trials = [trial("turbo", [100.0, 101.0, 102.0]), trial("tf_data", [50.0, 51.0, 52.0])]
    path = tmp_path / "runs" / "history"
    path.parent.mkdir()
    append_history(path, history_entry(trials, summarize(trials)))
    values = read(path)
    for damage in damages_of(values):
        write(path, [damaged(values[0], damage)])
        try:
            report_of_history(path)
        except BenchError as error:
            check(error, path)
