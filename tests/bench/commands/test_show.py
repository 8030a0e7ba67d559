"""show prints every kind of record, from a folder or a file."""

import csv
import json
import os
import re
import shutil
import sys
from datetime import datetime
from io import StringIO
from pathlib import Path

import pytest
from published import RESULTS, published

from feedbench.bench.analysis.summary import summarize
from feedbench.bench.cli import main
from feedbench.bench.environment import began_at
from feedbench.bench.errors import RecordError
from feedbench.bench.report.csv_text import as_csv
from feedbench.bench.report.document import TableData
from feedbench.bench.report.markdown import as_markdown, escaped
from feedbench.bench.results.find import KINDS, find_record, read_result
from feedbench.bench.results.parts import parts_of
from feedbench.bench.training.table import epochs_table
from feedbench.bench.trials_file import read_trials, write_trials

# JSON files that hold no result.
NO_RECORDS = {"environment.json", "trace.json", "overhead.json", "benchmark.json"}
OTHERS = sorted((Path(__file__).parent / "records").iterdir())  # of kinds that are not published
FOLDERS = published({path.parent for name in KINDS for path in RESULTS.rglob(name)})
FILES = published(
    path
    for pattern in ("*.json", "*.jsonl")
    for path in RESULTS.rglob(pattern)
    if path.name not in NO_RECORDS
)


def shown(capsys, monkeypatch, *arguments) -> tuple[int, str, str]:
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr(sys, "argv", ["feedbench", "show", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        main()
    output = capsys.readouterr()
    return ended.value.code or 0, output.out, output.err


def with_spec(trial):
    spec = {"image_size": 8, "batch_size": 4, "resize": "stretch", "interpolation": "nearest"}
    return trial.model_copy(update={"spec": spec, "recipe": {"alpha": 1.0}})


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda path: "/".join(path.parts[-3:]))
def test_a_folder_is_shown_by_its_main_record(folder):
    path, kind = find_record(folder)
    assert path == folder / next(name for name in KINDS if (folder / name).is_file())
    assert kind == KINDS[path.name]


@pytest.mark.parametrize("place", [*FILES, *OTHERS], ids=lambda path: "/".join(path.parts[-3:]))
def test_every_record_is_shown(place, capsys, monkeypatch, tmp_path):
    before = {path: path.stat().st_mtime_ns for path in RESULTS.rglob("*")}
    code, out, errors = shown(capsys, monkeypatch, place, "--json", tmp_path / "shown.json")
    assert (code, errors) == (0, "")
    assert len(out.splitlines()) >= 2
    values = json.loads((tmp_path / "shown.json").read_text())
    assert values
    began = began_at(find_record(place)[0])
    assert values.get("created") == (began and began.isoformat(timespec="seconds"))
    assert before == {path: path.stat().st_mtime_ns for path in RESULTS.rglob("*")}


@pytest.mark.parametrize("place", OTHERS, ids=lambda path: path.name)
def test_the_values_of_a_record_say_when_it_was_made(place, capsys, monkeypatch, tmp_path):
    record, saved = tmp_path / place.name, tmp_path / "shown.json"
    created = {"created": "2026-01-02T12:00:00+00:00"}
    record.write_text(json.dumps(created | json.loads(place.read_text())))
    assert shown(capsys, monkeypatch, record, "--json", saved)[0] == 0
    assert json.loads(saved.read_text()).items() >= created.items()


def test_the_records_are_of_every_kind():
    found = {find_record(path)[1] for path in [*FILES, *OTHERS]}
    unfinished = {KINDS["loader.toml"]}  # a training without its training.json
    assert found == set(KINDS.values()) - unfinished


@pytest.mark.parametrize("place", [*FILES, *OTHERS], ids=lambda path: "/".join(path.parts[-3:]))
def test_every_record_has_tables_as_markdown_and_csv(place):
    parts = list(parts_of(read_result(place)))
    tables = [part for part in parts if isinstance(part, TableData)]
    assert len({table.name for table in tables}) == len(tables) > 0
    text = as_markdown(parts)
    for table in tables:
        rows = [f"| {escaped(column.heading)} |" for column in table.filled]
        assert all(row in text for row in rows[:1])
        heading, *lines = csv.reader(StringIO(as_csv(table)))
        assert len(set(heading)) == len(heading) > 1
        assert {len(line) for line in lines} == {len(heading)}
        assert len(lines) == len(table.rows)


@pytest.mark.parametrize("option", ["--markdown", "--csv", "--wide"])
def test_each_format_is_printed(option, capsys, monkeypatch):
    code, out, errors = shown(capsys, monkeypatch, RESULTS / "limits" / "clothing", option)
    assert (code, errors) == (0, "")
    assert "turbo" in out


def test_the_csv_has_unrounded_figures_with_units_and_both_ends_of_an_interval(capsys, monkeypatch):
    _, out, _ = shown(capsys, monkeypatch, RESULTS / "clothing-cpu", "--csv")
    first, *others = csv.DictReader(StringIO(out))
    assert (first["loader"], first["settings"], first["winner"]) == (
        "tf_data",
        "cache=decoded",
        "true",
    )
    summary = summarize(read_trials(RESULTS / "clothing-cpu"))
    rate = summary.trials[summary.winner].images_per_second
    figures = [float(first[f"images_per_second{end}"]) for end in ("", "_low", "_high")]
    assert figures == [rate.value, rate.low, rate.high]
    assert first["gpu_power_w"] == ""
    assert len(others) == 6


def test_two_trainings_are_figures_with_both_ends_of_their_intervals(capsys, monkeypatch):
    record = Path(__file__).parent / "records" / "compare.json"
    _, out, _ = shown(capsys, monkeypatch, record, "--csv", "--table", "accuracy-1")
    rows = {row["figure"]: row for row in csv.DictReader(StringIO(out))}
    (change,) = json.loads(record.read_text())["trainings"]
    for name, training in (("base", "first"), ("run", "second")):
        wanted = change["accuracy"][training]
        accuracy = [float(rows["accuracy"][f"{name}{end}"]) for end in ("", "_low", "_high")]
        assert accuracy == [wanted["accuracy"][end] for end in ("value", "low", "high")]
        assert float(rows["train_s"][name]) == wanted["train_s"]


def test_each_kind_of_table_has_the_same_csv_columns_whatever_was_measured(capsys, monkeypatch):
    headings = {
        shown(capsys, monkeypatch, RESULTS / place, "--csv")[1].splitlines()[0]
        for place in ("clothing-cpu", "limits/tf_data-clothing", "tune-vs-grid/drain/grid-1.json")
    }
    assert len(headings) == 1


def test_another_table_is_named(capsys, monkeypatch):
    place = RESULTS / "diagnose-clothing"
    _, out, _ = shown(capsys, monkeypatch, place, "--csv", "--table", "what-if")
    assert out.startswith("change,how,images_per_second,")
    code, out, errors = shown(capsys, monkeypatch, place, "--table", "whatif")
    assert (code, out) == (2, "")
    assert errors == (f"feedbench: --table whatif: the tables of {place} are: ceilings, what-if\n")


def test_two_formats_at_once_are_refused(capsys, monkeypatch):
    code, _, errors = shown(capsys, monkeypatch, RESULTS / "clothing-cpu", "--csv", "--markdown")
    assert code == 2
    assert errors == "feedbench: --markdown and --csv: give one of them\n"


def test_without_a_table_there_is_no_csv(capsys, monkeypatch, tmp_path, trial):
    write_trials(tmp_path, [with_spec(trial("tf_data", [], error="crashed"))])
    code, out, errors = shown(capsys, monkeypatch, tmp_path, "--csv")
    assert (code, out) == (2, "")
    assert errors == "feedbench: --csv: nothing was measured, so there is no table\n"


def test_a_fit_has_no_winner_and_no_tie(capsys, monkeypatch):
    _, out, _ = shown(capsys, monkeypatch, RESULTS / "fit-clothing")
    assert "a repeated batch" in out
    assert "tie" not in out
    assert "winner" not in out


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("clothing-cpu", ["Take tf_data cache=decoded", r"333 \[|357 \["]),
        ("clothing-cpu/training.json", ["Test accuracy: 65.6%", "Met: predicted"]),
        ("limits/clothing", ["memory_copy", r"0\.\d\d \[0\.\d\d, 0\.\d\d\]"]),
        ("diagnose-clothing", ["Ceilings", "What if", "The bottleneck is decoding"]),
        ("tune-vs-grid/drain/tune-0.json", ["Take turbo cache=decoded decode=scaled", "ratio"]),
        ("tune-vs-grid/drain/final.json", ["ratio to best", "Take turbo"]),
        ("range-study", [r"62\.2% \[55\.1%, 69\.3%\]", "over 3 pairs: cannot tell"]),
        ("pixels-clothing/96-nearest.json", ["Other pixels than keras_pil", "decode=scaled"]),
        ("clothing-training/tuned", ["test images", "Test accuracy: .* of 372 images"]),
    ],
)
def test_each_kind_has_its_own_table_and_verdict(place, said, capsys, monkeypatch):
    _, out, _ = shown(capsys, monkeypatch, RESULTS / place)
    for text in said:
        assert re.search(text, out), out


@pytest.mark.parametrize("place", ["empty", "other.json", "text.json", "list.json"])
def test_a_file_that_is_not_a_record_is_refused_with_the_known_names(
    place, capsys, monkeypatch, tmp_path
):
    (tmp_path / "empty").mkdir()
    (tmp_path / "other.json").write_text('{"loaders": {}}')
    (tmp_path / "text.json").write_text("text")
    (tmp_path / "list.json").write_text("[[1]]")
    code, _, errors = shown(capsys, monkeypatch, tmp_path / place)
    assert code == 2
    assert errors.startswith(f"feedbench: {tmp_path / place}: no record to show; ")
    assert errors.count("\n") == 1
    assert all(name in errors for name in KINDS)


def test_a_record_that_does_not_exist_is_refused(capsys, monkeypatch, tmp_path):
    code, _, errors = shown(capsys, monkeypatch, tmp_path / "nowhere")
    assert code == 2
    assert errors.startswith(f"feedbench: {tmp_path / 'nowhere'}: no such folder or file; ")


@pytest.mark.parametrize("name", [name for name in KINDS if name != "trials.jsonl"])
@pytest.mark.parametrize("text", ["text", "{}", "[]"])
def test_a_broken_record_is_an_error_of_one_line(name, text, capsys, monkeypatch, tmp_path, trial):
    (tmp_path / name).write_text(text)
    write_trials(tmp_path, [trial("tf_data", [])])
    code, _, errors = shown(capsys, monkeypatch, tmp_path / name)
    assert code == 2
    assert errors.startswith(f"feedbench: {tmp_path / name}: ")
    assert errors.count("\n") == 1


def test_a_diagnosis_of_a_newer_feedbench_is_refused(capsys, monkeypatch, tmp_path):
    path = tmp_path / "diagnosis-record.json"
    values = json.loads((RESULTS / "diagnose-clothing" / path.name).read_text())
    path.write_text(json.dumps({**values, "schema_number": 99, "new": True}))
    code, _, errors = shown(capsys, monkeypatch, tmp_path)
    assert code == 2
    assert "schema 99 is newer than" in errors


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda values: values["epochs"][2].pop("images"), "epochs.2.images"),
        (lambda values: values.update(test=3), "test"),
        (lambda values: values["promise"].pop("text"), "promise.text"),
    ],
)
def test_a_damaged_training_is_refused_in_one_line(damage, said, capsys, monkeypatch, tmp_path):
    values = json.loads((RESULTS / "clothing-training" / "tuned" / "training.json").read_text())
    damage(values)
    (tmp_path / "training.json").write_text(json.dumps(values))
    code, _, errors = shown(capsys, monkeypatch, tmp_path)
    assert code == 2
    assert len(errors.splitlines()) == 1
    assert f"{tmp_path / 'training.json'}: " in errors
    assert said in errors


def test_a_tune_folder_is_shown_as_a_tune(tmp_path, trial):
    shutil.copy(RESULTS / "tune-vs-grid" / "drain" / "tune-0.json", tmp_path / "tune.json")
    write_trials(tmp_path, [trial("tf_data", [1.0])])
    assert find_record(tmp_path)[1].command == "tune"
    assert find_record(tmp_path / "trials.jsonl")[1].command == "bench"


def test_a_trace_of_a_record_without_blocks_is_refused_in_one_line(capsys, monkeypatch, tmp_path):
    study, trace = RESULTS / "range-study", tmp_path / "trace.json"
    code, out, errors = shown(capsys, monkeypatch, study, "--trace", trace)
    assert (code, out) == (2, "")
    assert errors == (
        f"feedbench: {study / 'study.json'}: holds no blocks to draw over time; give the folder of "
        "a bench, tune, limits or diagnose run, or of a FitMonitor\n"
    )
    assert not trace.exists()


def test_a_diagnosis_is_drawn_over_time_end_to_end(capsys, monkeypatch, tmp_path):
    place, files = RESULTS / "diagnose-clothing", [tmp_path / "time.svg", tmp_path / "trace.json"]
    arguments = ["--timeline", files[0], "--trace", files[1]]
    code, _, errors = shown(capsys, monkeypatch, place, *arguments)
    assert (code, errors) == (0, f"Written: {files[0]}\nWritten: {files[1]}\n")
    assert files[0].read_text().startswith("<?xml")
    events = json.loads(files[1].read_text())["traceEvents"]
    assert events[0]["args"] == {"name": "keras_pil, end to end"}
    blocks = next(
        part.blocks for part in read_result(place).record.parts if part.name == "end to end"
    )
    assert sum(event["name"] == "step" for event in events) == sum(len(b.step_s) for b in blocks)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--trial", "2"], "--trial: a diagnosis has no trials; leave it out"),
        ([], "--timeline, --trace: the diagnosis has no timed block end to end"),
    ],
)
def test_of_a_diagnosis_nothing_else_is_drawn(arguments, reason, capsys, monkeypatch, tmp_path):
    values = json.loads((RESULTS / "diagnose-clothing" / "diagnosis-record.json").read_text())
    values["parts"][-1]["blocks"] = []
    (tmp_path / "diagnosis-record.json").write_text(json.dumps(values))
    arguments = [*arguments, "--timeline", tmp_path / "time.png"]
    code, _, errors = shown(capsys, monkeypatch, tmp_path, *arguments)
    assert (code, errors) == (2, f"feedbench: {reason}\n")


def test_a_trial_without_a_picture_of_it_is_refused(capsys, monkeypatch):
    code, _, errors = shown(capsys, monkeypatch, RESULTS / "clothing-cpu", "--trial", "3")
    assert (code, errors.count("\n")) == (2, 1)
    assert "--trial 3: chooses what --timeline draws; add --timeline FILE.png" in errors


def test_a_track_is_named_by_its_line_and_loader(capsys, monkeypatch, tmp_path):
    trace = tmp_path / "trace.json"
    shown(capsys, monkeypatch, RESULTS / "tutorial" / "bench", "--trace", trace)
    events = json.loads(trace.read_text())["traceEvents"]
    names = [event["args"]["name"] for event in events if event["name"] == "process_name"]
    assert names[0] == "1 pipeline.py:make_dataset"
    assert all(len(name) < 40 for name in names)


def test_nothing_measured_is_exit_code_1(capsys, monkeypatch, tmp_path, trial):
    write_trials(tmp_path, [with_spec(trial("tf_data", [], error="crashed"))])
    code, out, _ = shown(capsys, monkeypatch, tmp_path)
    assert code == 1
    assert "crashed" in out


def test_a_folder_of_runs_lists_them(capsys, monkeypatch, tmp_path):
    saved = tmp_path / "new" / "runs.json"
    code, out, errors = shown(capsys, monkeypatch, RESULTS, "--json", saved)
    assert (code, errors) == (0, "")
    runs = {Path(run["folder"]).relative_to(RESULTS): run for run in json.loads(saved.read_text())}
    assert runs[Path("range-study")]["command"] == "study"
    bench = runs[Path("clothing-cpu")]
    assert (bench["command"], bench["data"]) == ("bench", "3,068 images, 96 px")
    assert bench["result"] == "tf_data cache=decoded: 357 images/s"
    assert {"tf_data", "keras_pil"} <= set(bench["loaders"].split(", "))
    for text in ("tf_data cache=decoded: 357", "3,068 images, 96 px", "limits/clothing"):
        assert text in out
    assert runs[Path("pixels-clothing/96-nearest.json")]["command"] == "pixels"
    assert Path("clothing-cpu/training.json") not in runs  # beside a main record
    last = out.splitlines()[-1].strip()
    assert last.startswith(f"One of them: feedbench show {RESULTS}")


def test_runs_are_listed_by_date_and_a_damaged_one_says_so(capsys, monkeypatch, tmp_path):
    for age, name in enumerate(("new", "old", "damaged")):
        shutil.copytree(RESULTS / "limits" / "clothing", tmp_path / name)
        os.utime(tmp_path / name / "limits-record.json", (1e9 - 1e6 * age, 1e9 - 1e6 * age))
    (tmp_path / "damaged" / "limits-record.json").write_text("[]")
    code, out, errors = shown(capsys, monkeypatch, tmp_path)
    assert (code, errors) == (0, "")
    rows = [re.search(rf" {name} *$", out, re.MULTILINE) for name in ("old", "new", "damaged")]
    places = [row.start() for row in rows]
    assert places == sorted(places)
    assert "2001-09-0" in out
    assert "cannot be read: " in out
    assert out.splitlines()[-1].strip() == f"One of them: feedbench show {tmp_path / 'damaged'}"


@pytest.mark.parametrize("named", [".", "..", "runs"])
def test_the_list_of_runs_names_their_folder(capsys, monkeypatch, tmp_path, named):
    folder = tmp_path / "runs"
    for name in ("one", "other"):
        shutil.copytree(RESULTS / "limits" / "clothing", folder / name)
    (folder / "inside").mkdir()
    monkeypatch.chdir({".": folder, "..": folder / "inside", "runs": tmp_path}[named])
    code, out, _ = shown(capsys, monkeypatch, Path(named))
    assert code == 0
    assert re.search(r" in runs *$", out, re.MULTILINE)


def test_a_run_is_dated_by_its_record_and_one_without_a_date_says_so(capsys, monkeypatch, tmp_path):
    for name in ("dated", "undated"):
        shutil.copytree(RESULTS / "limits" / "clothing", tmp_path / name)
    created = "2026-01-02T12:00:00+00:00"
    (tmp_path / "dated" / "environment.json").write_text(json.dumps({"created": created}))
    os.utime(tmp_path / "undated" / "limits-record.json", (2e9, 2e9))
    saved = tmp_path / "runs.json"
    code, out, _ = shown(capsys, monkeypatch, tmp_path, "--json", saved)
    assert code == 0
    assert re.search(r"by 2033-05-1\d .* undated", out)
    assert re.search(r"2026-01-0[123] \d\d:\d\d .* dated", out)
    assert "by: the record does not say when it was made" in out
    assert f"feedbench show {tmp_path / 'dated'}" in out  # the newest of those with a date
    undated, dated = json.loads(saved.read_text())
    assert undated["dated"] is None
    assert datetime.fromisoformat(dated["dated"]) == datetime.fromisoformat(created)


def test_a_monitored_fit_has_a_timeline_and_a_trace(capsys, monkeypatch, tmp_path):
    files = [tmp_path / "time.png", tmp_path / "trace.json"]
    arguments = ["--timeline", files[0], "--trace", files[1]]
    code, _, errors = shown(capsys, monkeypatch, RESULTS / "fit-clothing", *arguments)
    assert (code, errors) == (0, f"Written: {files[0]}\nWritten: {files[1]}\n")
    assert all(file.stat().st_size for file in files)


@pytest.mark.parametrize("option", ["--timeline", "--trace", "--pytest-benchmark"])
def test_what_is_saved_of_one_run_is_refused_for_several(option, capsys, monkeypatch, tmp_path):
    code, out, errors = shown(capsys, monkeypatch, RESULTS, option, tmp_path / "file")
    assert (code, out) == (2, "")
    assert "holds several runs; give one of them: " in errors
    assert not (tmp_path / "file").exists()


def test_a_folder_without_a_result_is_said_to_be_what_it_is(capsys, monkeypatch, tmp_path):
    (tmp_path / "pack.json").write_text("")
    code, _, errors = shown(capsys, monkeypatch, tmp_path)
    assert code == 2
    assert errors.startswith(f"feedbench: {tmp_path}: ")
    assert "a pack of prepared images" in errors


def test_a_record_with_the_same_trial_twice_is_refused(capsys, monkeypatch, tmp_path, trial):
    write_trials(tmp_path, [trial("tf_data", [1.0]), trial("turbo", [2.0]), trial("tf_data", [3])])
    code, _, errors = shown(capsys, monkeypatch, tmp_path)
    assert code == 2
    assert "lines 1 and 3 are both tf_data; give the record of one bench" in errors


def test_a_deeply_nested_file_is_no_record(tmp_path):
    (tmp_path / "deep.json").write_text("[" * 100_000)
    with pytest.raises(RecordError, match="no record to show"):
        find_record(tmp_path / "deep.json")


def test_a_record_that_is_not_found_raises(tmp_path):
    with pytest.raises(RecordError, match="no record to show"):
        find_record(tmp_path)


def test_epochs_of_a_training_are_a_csv_with_the_metrics_of_an_own_model():
    epochs = [{"epoch": 1, "loss": 2.5, "metrics": {"auc": 0.75}}, {"epoch": 2, "loss": 2.0}]
    assert as_csv(epochs_table(epochs)) == "auc,epoch,loss\n0.75,1,2.5\n,2,2.0\n"
