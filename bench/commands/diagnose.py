"""diagnose: where the time goes, and what would change it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from feedbench.bench.commands.options import (
    TRAINING_SPEC,
    Alpha,
    BatchSize,
    Blacklist,
    CacheStateOption,
    Data,
    Flip,
    ImageSize,
    Json,
    Out,
    Resize,
    Sets,
    given_only,
    listed,
    readable,
    spec_values,
)
from feedbench.bench.commands.output import NOTHING_DONE, console, result_folder
from feedbench.bench.commands.selftest import show_test

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import Console

    from feedbench.bench.diagnose.record import Diagnosed
    from feedbench.bench.diagnose.setup import Pace, Question
    from feedbench.bench.diagnose.verdict import Diagnosis
    from feedbench.loaders import Manifest


def diagnose(
    data: Data,
    loader: Annotated[
        str | None, typer.Option(help="The loader by name. (default: tf_data)")
    ] = None,
    set_: Sets = None,
    consumer: Annotated[
        str,
        typer.Option(
            help="train: the real trainer; emulated:NAME: an accelerator's measured step time, "
            "such as emulated:a100."
        ),
    ] = "train",
    cache_state: CacheStateOption = None,
    batch_size: BatchSize = None,
    image_size: ImageSize = None,
    resize: Resize = None,
    flip: Flip = None,
    alpha: Alpha = None,
    seconds: Annotated[
        float, typer.Option(help="No further round is begun that would end after it.", min=1)
    ] = 120.0,
    what_if_storage: Annotated[
        float, typer.Option(help="Predict storage so many times as fast.", min=1)
    ] = 4.0,
    what_if_image_size: Annotated[
        int | None,
        typer.Option(help="Predict images of this side, pixels. (default: half)", min=1),
    ] = None,
    blacklist: Blacklist = None,
    out: Out = None,
    json: Json = None,
) -> None:
    """Find the bottleneck: measure every part alone, and predict what would change the rate."""
    from feedbench.bench.diagnose.setup import Pace, Question
    from feedbench.bench.errors import PlanError
    from feedbench.bench.plan.accelerators import accelerator_of
    from feedbench.bench.plan.plan import Choice, Timing, expand, merged_spec, settings_for
    from feedbench.bench.plan.toml import parse_model
    from feedbench.loaders import DEFAULT_LOADER, find_loader, parse_spec
    from feedbench.trainer import Recipe

    loader = loader or DEFAULT_LOADER
    timing = parse_model(Timing, given_only({"cache_state": cache_state}), "options")
    if consumer != "train" and not consumer.startswith("emulated:"):
        raise PlanError(f"--consumer {consumer}: must be train or emulated:NAME")
    if not find_loader(loader).is_choice:
        raise PlanError(f"--loader {loader}: it makes its images up; there is nothing to diagnose")
    choices = expand([Choice(loader=loader, settings=settings_for(loader, set_ or []))])
    if len(choices) > 1:
        raise PlanError(f"--set {loader}.…: one value each; a diagnosis is of one setting")
    spec = spec_values(batch_size, image_size, resize, None, None, flip)
    question = Question(
        choice=choices[0],
        spec=parse_spec(merged_spec(TRAINING_SPEC, spec)),
        recipe=parse_model(Recipe, given_only({"alpha": alpha}), "recipe"),
        consumer=consumer,
        accelerator=accelerator_of(consumer),
        cache_state=timing.cache_state,
        faster_storage=what_if_storage,
        other_image_size=what_if_image_size,
    )
    manifest, _ = readable(listed(data, blacklist).only("train"), [loader], console())
    folder = result_folder(out, "diagnose")
    run_diagnosis(question, manifest, folder, Pace(budget_s=seconds), json)


def run_diagnosis(
    question: Question, manifest: Manifest, folder: Path, pace: Pace, json: Path | None
) -> None:
    """Test the harness, measure, keep and show."""
    from feedbench.bench.diagnose.measure import diagnose as measured
    from feedbench.bench.diagnose.record import RECORD
    from feedbench.bench.diagnose.selftest import short_test
    from feedbench.bench.environment import environment
    from feedbench.bench.files import write_json, write_model

    terminal, tested = console(), short_test()
    write_json(folder / "environment.json", environment())
    if not tested.passed:
        show_test(terminal, tested)

    def say(text: str) -> None:
        terminal.print(text, style="dim", highlight=False)

    record = measured(question, manifest, folder, say, pace)
    record = record.model_copy(update={"self_test": tested.model_dump()})
    write_model(folder / RECORD, record)
    show_diagnosis(terminal, record, folder, json)


def show_diagnosis(terminal: Console, record: Diagnosed, folder: Path, json: Path | None) -> None:
    """Derive, draw, keep and print."""
    from feedbench.bench.diagnose.verdict import derive
    from feedbench.bench.diagnose.waterfall import draw_waterfall
    from feedbench.bench.files import write_json

    found = derive(record)
    for path in filter(None, (folder / "diagnosis.json", json)):
        write_json(path, found.model_dump())
    draw_waterfall(found, folder / "waterfall.png", _headline(record))
    pictures = ["waterfall.png", *_keep_timeline(record, folder)]
    print_diagnosis(terminal, record, found)
    said = f"Records, {', '.join(pictures)}: {folder}"
    terminal.print(said, highlight=False, soft_wrap=True)
    if found.bottleneck is None:
        raise typer.Exit(NOTHING_DONE)


def _keep_timeline(record: Diagnosed, folder: Path) -> list[str]:
    """The blocks end to end as a picture and as a trace; the files' names."""
    from feedbench.bench.files import write_text
    from feedbench.bench.report.timeline import draw_timeline
    from feedbench.bench.report.trace import trace_text

    blocks = next(part.blocks for part in record.parts if part.name == "end to end")
    if not blocks:
        return []
    title = f"{_headline(record)}, end to end"
    draw_timeline(blocks, folder / "timeline.png", title)
    write_text(folder / "trace.json", trace_text({title: blocks}))
    return ["timeline.png", "trace.json"]


def print_diagnosis(terminal: Console, record: Diagnosed, found: Diagnosis) -> None:
    """Print ceilings, predictions, notes and the verdict."""
    from feedbench.bench.diagnose.table import (
        nodes_table,
        notes,
        predictions_table,
        waterfall_table,
    )

    terminal.print(_headline(record), highlight=False, markup=False)
    terminal.print(waterfall_table(found))
    if found.predictions:
        terminal.print(predictions_table(found))
    if record.autotuned:
        terminal.print(nodes_table(record.autotuned))
    for line in notes(record, found):
        terminal.print(line, highlight=False, markup=False)
    terminal.print(found.verdict, style="bold", highlight=False, markup=False)


def _headline(record: Diagnosed) -> str:
    from feedbench.bench.diagnose.verdict import consumer_name
    from feedbench.bench.plan.plan import Choice

    spec = record.spec
    return (
        f"{Choice(loader=record.loader, settings=record.settings)} → {spec['image_size']} px, "
        f"batch {spec['batch_size']} → {consumer_name(record)}, {record.cache_state} files"
    )
