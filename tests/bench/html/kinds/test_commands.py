"""Commands on a page can be run as they stand, and give the same page again."""

import shlex
import tomllib

import pytest
import typer
from published import RESULTS, published

from feedbench.bench.analysis.best import read_best
from feedbench.bench.cli import command_app
from feedbench.bench.diagnose.record import read_diagnosis
from feedbench.bench.html.kinds.commands import repeated_diagnosis
from feedbench.bench.html.parts import Code, Details
from feedbench.bench.results.find import find_runs, read_result

RUNS = published(file for file, _ in find_runs(RESULTS))


@pytest.mark.parametrize("file", RUNS, ids=lambda file: str(file.relative_to(RESULTS)))
def test_every_command_of_a_report_has_options_that_exist(page, file):
    made = page(read_result(file))
    texts = [made.report.headline.command, *(part.text for part in made.of(Code))]
    commands = [text for text in texts if text and text.startswith("feedbench ")]
    for text in commands:
        name, *arguments = shlex.split(text.partition(" > ")[0])[1:]
        command = typer.main.get_command(command_app(name))
        command.make_parser(typer.Context(command)).parse_args(arguments)  # raises if unknown
    assert commands or made.report.headline.command is None


@pytest.fixture
def record():
    return read_diagnosis(RESULTS / "tutorial" / "diagnosis" / "diagnosis-record.json")


def command_of(record) -> str:
    return repeated_diagnosis(record)[0].text


def test_a_diagnosis_is_repeated_with_the_function_and_what_it_was_measured_with(record):
    assert command_of(record) == (
        "feedbench diagnose DATA --loader pipeline.py:make_dataset --image-size 224 "
        "--batch-size 64 --resize stretch --interpolation nearest --consumer emulated:a100 "
        "--cache-state warm --try"
    )


def test_a_diagnosis_on_several_devices_is_repeated_on_as_many(record):
    two = record.model_copy(update={"consumer": "train", "devices": ["CPU:0", "CPU:1"]})
    assert "--consumer train --devices cpu:2 --cache-state" in command_of(two)


def test_what_was_not_left_at_its_default_is_in_the_command(record):
    given = {
        "budget_s": 45.5,
        "sampled": 5000,
        "faster_storage": 2.0,
        "other_image_size": 160,
        "settings": {"workers": 2},
        "recipe": {**record.recipe, "alpha": 0.35},
    }
    command = command_of(record.model_copy(update=given))
    for words in (
        "--seconds 45.5",
        "--images 5000",
        "--what-if-storage 2",
        "--what-if-image-size 160",
        "--set pipeline.py:make_dataset.workers=2",
        "--alpha 0.35",
    ):
        assert words in command


def test_a_run_with_try_but_nothing_to_rewrite_is_repeated_with_try(record):
    parts = [part for part in record.parts if part.name != "rewritten"]
    plain = record.model_copy(update={"parts": parts})
    assert "--try" not in command_of(plain)
    assert "--try" in command_of(plain.model_copy(update={"rewrite": True}))


def test_fields_without_an_option_are_in_a_file_that_loader_takes(record, tmp_path):
    spec = {**record.spec, "value_range": [-1.0, 1.0]}
    code, details = repeated_diagnosis(record.model_copy(update={"spec": spec}))
    assert "--loader loader.toml" in code.text
    assert isinstance(details, Details)
    (listing,) = details.parts
    assert tomllib.loads(listing.text)["spec"]["value_range"] == [-1.0, 1.0]
    (tmp_path / details.title).write_text(listing.text)
    best = read_best(tmp_path / details.title)
    assert (best.loader, best.consumer) == ("pipeline.py:make_dataset", "emulated:a100")
