"""Rows that do not come once per epoch are in the record, the summary, and the output."""

from feedbench.bench.analysis.summary import summarize
from feedbench.bench.plan.plan import Choice, Failures, PixelCheck, Plan, Timing
from feedbench.bench.record import Coverage
from feedbench.bench.report.summary_text import parts
from feedbench.bench.trials.bench import Bench
from feedbench.loaders import BatchSpec, scan
from feedbench.trainer import Recipe


def test_a_mode_that_repeats_rows_is_in_the_record_of_its_trial(tiny_photos, tmp_path):
    modes = [{"processing_mode": "off"}, {}]
    choices = tuple(Choice(loader="tf_data_service", settings=mode) for mode in modes)
    spec = BatchSpec(batch_size=8, image_size=16)
    plan = Plan(choices, spec, Recipe(), "drain", Timing(), Failures(), PixelCheck())
    bench = Bench(plan, scan(tiny_photos).only("train"), tmp_path, lambda event: None)
    off, dynamic = bench.trials
    assert "each worker gives every row" in off.why_not_once
    assert dynamic.why_not_once is None


def test_why_rows_repeat_and_how_many_is_printed(trial, printed):
    made = trial("tf_data_service", [100.0] * 3).model_copy(
        update={
            "settings": {"processing_mode": "off"},
            "why_not_once": "each worker gives every row",
            "coverage": Coverage(repeated=7),
        }
    )
    text = " ".join(printed(*parts([made], summarize([made])), width=100).split())
    assert "processing_mode=off: each worker gives every row." in text
    assert "7 images came more often than once per epoch" in text


def test_bytes_of_the_network_are_given_per_image(trial, printed):
    made = trial("tf_data_service", [100.0] * 3)
    blocks = [
        block.model_copy(
            update={"received_bytes": 1_500 * block.images, "sent_bytes": block.images}
        )
        for block in made.blocks
    ]
    made = made.model_copy(update={"blocks": blocks})
    (summary,) = summarize([made]).trials
    assert (summary.received_bytes_per_image, summary.sent_bytes_per_image) == (1_500, 1)
    assert "1.5" in printed(*parts([made], summarize([made])), width=160)
    unknown = made.model_copy(update={"blocks": [*blocks[1:], trial("x", [1.0]).blocks[0]]})
    assert summarize([unknown]).trials[0].received_bytes_per_image is None
