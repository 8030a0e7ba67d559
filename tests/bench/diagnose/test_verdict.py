"""The words, tables and pictures of a diagnosis."""

from pathlib import Path

import pytest

from feedbench.bench.analysis.estimate import Estimate
from feedbench.bench.diagnose.autotune import Node
from feedbench.bench.diagnose.ceilings import Ceiling
from feedbench.bench.diagnose.ceilings_plot import is_in_use
from feedbench.bench.diagnose.notes import notes
from feedbench.bench.diagnose.record import RECORD, Part, read_diagnosis
from feedbench.bench.diagnose.table import (
    ceilings_table,
    label,
    nodes_table,
    parts,
    predictions_table,
)
from feedbench.bench.diagnose.tf_graph.table import mistake_lines
from feedbench.bench.diagnose.verdict import Diagnosis, consumer_name, derive_diagnosis
from feedbench.bench.diagnose.waterfall import draw_waterfall
from feedbench.bench.record import Gpu, Host

RESULTS = Path(__file__).parents[3] / "results"


def test_the_verdict_names_bottleneck_stall_and_remedies(make_record):
    verdict = derive_diagnosis(make_record()).verdict
    assert verdict.startswith("The bottleneck is decoding: with keras_pil, emulated:a100 idles 60%")
    assert (
        "decoding causes 50 of these 60 points; if decoding cost nothing, 0% would remain."
        in verdict
    )
    assert "Largest predicted gains: decoded images in memory (+150%), " in verdict


@pytest.mark.parametrize(
    ("rates", "beginning"),
    [
        ({"batch_copy": 450, "decode": 5_000}, "The bottleneck is the batch copy: with keras_pil"),
        (
            {"loader": 4_000, "decode": 5_000, "end_to_end": 995},
            "The bottleneck is the accelerator: keras_pil keeps emulated:a100 busy; it idles only ",
        ),
        (
            {"loader": 4_000, "decode": 5_000, "end_to_end": 600},
            "The bottleneck is interference: with keras_pil, emulated:a100 loses 40%",
        ),
    ],
)
def test_each_bottleneck_has_its_own_sentence(make_record, rates, beginning):
    assert derive_diagnosis(make_record(**rates)).verdict.startswith(beginning)


def test_a_stall_is_never_negative(make_record):
    record = make_record(loader=4_000, decode=5_000, end_to_end=1_001)
    stall = derive_diagnosis(record).stall
    assert 0 == stall.low <= stall.value <= stall.high


def test_without_a_part_the_verdict_gives_the_reason(make_record):
    record = make_record()
    failed = Part(name="end to end", error="crashed in warm-up: SIGKILL")
    record = record.model_copy(update={"parts": [*record.parts[:-1], failed]})
    diagnosis = derive_diagnosis(record)
    assert diagnosis.bottleneck is None
    assert diagnosis.verdict == (
        "No verdict: end to end could not be measured: crashed in warm-up: SIGKILL"
    )


def test_a_stage_that_failed_is_not_mistaken_for_a_missing_one(make_record):
    record = make_record()
    parts = [
        part.model_copy(update={"blocks": [], "error": "out of memory"})
        if part.name == "decoding"
        else part
        for part in record.parts
    ]
    diagnosis = derive_diagnosis(record.model_copy(update={"parts": parts}))
    assert diagnosis.bottleneck is None
    assert diagnosis.verdict == "No verdict: decoding could not be measured: out of memory"


def test_the_notes_list_causes_and_cores(make_record):
    record = make_record(loader_cores=2.0, workers=2, kind="threads", decode=250)
    lines = notes(record, derive_diagnosis(record))
    assert lines[0].endswith("1.0 GB of memory available; 2 cores.")
    assert lines[1] == "keras_pil works on 2 threads."
    assert lines[2].startswith(
        "Causes of the stall, by the idle time that disappears with each: decoding "
    )
    assert lines[2].endswith(
        " They overlap: idle time that disappears only without several of them is divided among "
        "these."
    )
    assert lines[3] == (
        "CPU cores needed with this loader: 5 for 1 accelerator of this kind, 10 for 2, 20 for 4, "
        "40 for 8."
    )


def test_a_failed_self_test_is_the_first_that_a_verdict_says(make_record):
    check = {"name": "the number of images", "expected": "8", "measured": "9", "passed": False}
    record = make_record().model_copy(update={"self_test": {"checks": [check]}})
    warning = (
        "Do not trust this diagnosis: self-test failed: the number of images: 9 instead of 8. "
    )
    assert derive_diagnosis(record).verdict.startswith(f"{warning}The bottleneck is ")
    record = record.model_copy(update={"parts": record.parts[:-1]})
    assert derive_diagnosis(record).verdict.startswith(f"{warning}No verdict: ")


def test_the_notes_contradict_a_gpu_that_is_busy_while_the_consumer_waits(make_record):
    record = make_record()
    assert "GPU 0" not in "\n".join(notes(record, derive_diagnosis(record)))
    gpu = Gpu(index=0, at_s=[1.0], utilization=[0.99], multiprocessors=[0.2])
    *others, part = record.parts
    blocks = [block.model_copy(update={"wait_s": [1.0], "gpus": [gpu]}) for block in part.blocks]
    part = part.model_copy(update={"blocks": blocks})
    record = record.model_copy(update={"parts": [*others, part]})
    text = "\n".join(notes(record, derive_diagnosis(record)))
    assert "GPU 0, end to end: " in text
    assert "believe the wait" in text


def test_the_note_on_what_was_not_measured_cold_is_one_sentence(make_record):
    reason = "--cache-state cold: the loader reads no files"
    record = make_record().model_copy(update={"not_cold": reason})
    found = notes(record, derive_diagnosis(record))
    assert "Nothing was measured cold: the loader reads no files." in found


@pytest.mark.parametrize(
    ("ceiling", "expected"),
    [
        (Ceiling(name="storage", cache_state="cold", parallel=4), "storage, cold, 4 at once"),
        (
            Ceiling(name="storage in order", cache_state="warm", parallel=1),
            "storage in order, warm",
        ),
        (Ceiling(name="decoding", parallel=1), "decoding, 1 core"),
        (Ceiling(name="transform", parallel=2), "transform, 2 cores"),
        (Ceiling(name="consumer"), "consumer"),
        (Ceiling(name="fixed", settings={"prefetch": 2, "cache": "none"}), "prefetch=2 cache=none"),
    ],
)
def test_a_part_is_labelled_with_its_conditions(ceiling, expected):
    assert label(ceiling) == expected


def test_the_tables_have_a_row_per_part_and_prediction(make_record, printed):
    diagnosis = derive_diagnosis(make_record())
    ceilings, predictions = ceilings_table(diagnosis), predictions_table(diagnosis)
    assert ceilings.rows == diagnosis.ceilings
    assert predictions.rows == diagnosis.predictions
    assert "decoded images in memory: uint8 images of the batch's size" in printed(predictions)
    assert "(151 MB: fits)" in printed(predictions)


def test_parts_without_a_block_are_no_table(make_record):
    record = make_record().model_copy(update={"interrupted": True})
    empty = [part.model_copy(update={"blocks": []}) for part in record.parts]
    names = [
        [getattr(part, "name", None) for part in parts(one, derive_diagnosis(one))]
        for one in (record, record.model_copy(update={"parts": empty}))
    ]
    assert "ceilings" in names[0]
    assert "ceilings" not in names[1]


def test_the_table_of_nodes_marks_what_autotune_has_set(printed):
    node = Node(
        name="Prefetch",
        parameters={"buffer_size": 2.0, "legacy": 0.0},
        autotuned=["buffer_size"],
        processing_s=0.0005,
        buffered_bytes=10**6,
    )
    text = printed(nodes_table([node]))
    assert "busy or blocked," in text
    assert "ms per image" in text
    assert "buffer_size 2 (AUTOTUNE), legacy 0" in text
    assert "0.500" in text


def test_the_waterfall_leads_from_the_consumers_rate_to_the_measured_one(
    make_record, tmp_path, pictures
):
    draw_waterfall(derive_diagnosis(make_record()), tmp_path / "waterfall.svg", "a test")
    (figure,) = pictures.saved
    steps, parts = figure.axes
    texts = pictures.texts(figure)
    assert texts[:2] == ["Decoding is the bottleneck: 50 of the 60 points of idle time", "a test"]
    bars = [bar for bar in steps.patches if bar.get_width() > 0]
    assert bars[0].get_width() == 1
    lengths = sum(bar.get_width() for bar in bars[1:])
    assert lengths == pytest.approx(1)  # the causes and what is reached fill the ceiling
    assert (steps.get_xscale(), parts.get_xscale()) == ("linear", "log")
    assert steps.get_xlim() == (0, 1)
    assert {"1,000 images/s", "400 images/s, 40%", "consumer alone"} <= set(texts)
    assert pictures.faults(figure) == []


def test_white_texts_of_the_waterfall_lie_within_their_bars(tmp_path, pictures):
    """The second of these causes begins in the middle, where no side has half of the width."""
    published = read_diagnosis(RESULTS / "beyond" / "service" / "diagnosis" / RECORD)
    draw_waterfall(derive_diagnosis(published), tmp_path / "waterfall.png", "a test")
    (figure,) = pictures.saved
    renderer, steps = figure.canvas.get_renderer(), figure.axes[0]
    bars = [bar.get_window_extent(renderer) for bar in steps.patches]
    texts = [
        text.get_window_extent(renderer) for text in steps.texts if text.get_color() == "white"
    ]
    assert texts
    for text in texts:
        (bar,) = [bar for bar in bars if bar.y0 <= text.y0 <= bar.y1]
        assert bar.x0 <= text.x0 <= text.x1 <= bar.x1
    assert pictures.faults(figure) == []


@pytest.mark.parametrize("name", ["plan/diagnosis", "diagnose-clothing/at-224/one-core"])
def test_wide_intervals_of_parts_and_their_rates_lie_within_the_axis(name, tmp_path, pictures):
    diagnosis = derive_diagnosis(read_diagnosis(RESULTS / name / RECORD))
    draw_waterfall(diagnosis, tmp_path / "waterfall.png", "a test")
    (figure,) = pictures.saved
    parts, renderer = figure.axes[-1], figure.canvas.get_renderer()
    (low, high), axes = parts.get_xlim(), parts.get_window_extent(renderer)
    for one in diagnosis.ceilings:
        assert low < one.images_per_second.low <= one.images_per_second.high < high
    assert all(text.get_window_extent(renderer).x1 <= axes.x1 for text in parts.texts)


def test_without_a_verdict_the_parts_are_drawn_and_the_missing_one_is_said(
    make_record, tmp_path, pictures
):
    record = make_record()
    parts = [
        part.model_copy(update={"blocks": [], "error": "it ended"})
        if part.name == "loader"
        else part
        for part in record.parts
    ]
    diagnosis = derive_diagnosis(record.model_copy(update={"parts": parts}))
    draw_waterfall(diagnosis, tmp_path / "waterfall.png", "a test")
    (figure,) = pictures.saved
    assert len(figure.axes) == 1
    assert "not measured: it ended" in pictures.texts(figure)


def test_parts_that_a_cache_replaces_are_hollow(make_record, tmp_path, pictures):
    diagnosis = derive_diagnosis(make_record(loader=5_000, end_to_end=1_000))
    by_name = {ceiling.name: is_in_use(ceiling, diagnosis) for ceiling in diagnosis.ceilings}
    assert not by_name["decoding"]
    assert by_name["storage"]
    draw_waterfall(diagnosis, tmp_path / "waterfall.png", "a test")
    assert "Hollow" in " ".join(pictures.texts(pictures.saved[0]))


def test_no_gain_is_not_printed_as_a_loss(make_record, printed):
    diagnosis = derive_diagnosis(make_record())
    tiny = diagnosis.predictions[0].model_copy(update={"gain": -0.001})
    text = printed(predictions_table(diagnosis.model_copy(update={"predictions": [tiny]})))
    assert "+0%" in text
    assert "-0%" not in text


def test_storage_that_is_slower_than_the_loader_is_called_a_lower_bound(make_record):
    record = make_record(storage=300, storage_serial=300)
    text = "\n".join(notes(record, derive_diagnosis(record)))
    assert "Storage, warm: the loader reads faster than storage alone" in text
    assert "lower bound" not in "\n".join(notes(make_record(), derive_diagnosis(make_record())))


@pytest.mark.parametrize(
    ("kind", "how"),
    [
        ("threads", "on 1 thread."),
        ("processes", "in 1 process."),
        ("pipelined", "on 1 thread, and"),
    ],
)
def test_one_worker_is_in_the_singular(make_record, kind, how):
    record = make_record(kind=kind, workers=1)
    assert f"keras_pil works {how}" in "\n".join(notes(record, derive_diagnosis(record)))


def test_the_notes_say_how_much_the_loader_held_pythons_lock(make_record):
    record = make_record(kind="threads", workers=4, locked=0.95)
    text = "\n".join(notes(record, derive_diagnosis(record)))
    assert "keras_pil works on 4 threads; its threads held Python's lock 95% of the time." in text


def test_the_notes_compare_reads_in_order_with_reads_at_random(make_record, make_blocks):
    record = make_record()
    part = Part(
        name="storage in order",
        cache_state="warm",
        parallel=1,
        blocks=make_blocks(90_000, 1.0, "warm"),
    )
    record = record.model_copy(update={"parts": [*record.parts, part]})
    text = "\n".join(notes(record, derive_diagnosis(record)))
    assert "Shards, warm, one read at a time: 90,000 images/s in their order, 20,000 at" in text


def noisy(record, **factors):
    """The record with the rates of a part's three blocks multiplied by three factors."""

    def part_of(part):
        if part.name.replace(" ", "_") not in factors:
            return part
        blocks = zip(part.blocks, factors[part.name.replace(" ", "_")], strict=True)
        changed = [one.model_copy(update={"images": round(one.images * by)}) for one, by in blocks]
        return part.model_copy(update={"blocks": changed})

    return record.model_copy(update={"parts": [part_of(part) for part in record.parts]})


def busy(record):
    """The record of a machine with two cores of which other programs used 1.5."""
    host = Host(at_s=[1.0], cores={0: [1.0], 1: [1.0]})
    *others, part = record.parts
    blocks = [one.model_copy(update={"host": host, "cpu_s": 1.0}) for one in part.blocks]
    part = part.model_copy(update={"blocks": blocks})
    return record.model_copy(update={"parts": [*others, part]})


FAILED = {"name": "a known delay", "expected": "20 ms", "measured": "21 ms", "passed": False}


def test_rates_that_say_nothing_give_no_verdict_and_no_prediction(make_record):
    record = busy(noisy(make_record(), end_to_end=(0.1, 1.0, 2.4)))
    record = record.model_copy(update={"self_test": {"checks": [FAILED]}})
    diagnosis = derive_diagnosis(record)
    assert diagnosis.verdict == (
        "Not measured well enough for a verdict: with keras_pil, emulated:a100 idles 60% [0%, "
        "100%] of the time. Self-test failed: a known delay: 21 ms instead of 20 ms. Other "
        "programs used up to 1.5 of 2 cores meanwhile. Diagnose again on a quiet machine, or with "
        "a longer --seconds."
    )
    assert (diagnosis.bottleneck, diagnosis.predictions, diagnosis.shares) == (None, [], [])
    assert diagnosis.ceilings


@pytest.mark.parametrize("rounds", [1, 2])
def test_fewer_than_three_rounds_name_no_bottleneck(make_record, rounds):
    parts = [
        part.model_copy(update={"blocks": part.blocks[:rounds]}) for part in make_record().parts
    ]
    record = make_record().model_copy(update={"parts": parts, "interrupted": True})
    diagnosis = derive_diagnosis(record)
    assert diagnosis.verdict == (
        "Not measured well enough for a verdict: with keras_pil, emulated:a100 idles 60% [–] of "
        "the time. Incomplete: the diagnosis was interrupted; end to end has timed blocks: "
        f"{rounds}. Fewer than 3 rounds give no interval. Diagnose again."
    )
    assert (diagnosis.bottleneck, diagnosis.predictions, diagnosis.shares) == (None, [], [])


@pytest.mark.parametrize("factors", [(0.9, 1.0, 1.1), (0.75, 1.0, 1.25)])
def test_rates_that_vary_as_on_a_shared_machine_give_a_verdict(make_record, factors):
    assert derive_diagnosis(noisy(make_record(), end_to_end=factors)).bottleneck is not None


def test_a_busy_machine_is_named_beside_a_failed_self_test_and_in_the_notes(make_record):
    record = busy(make_record()).model_copy(update={"self_test": {"checks": [FAILED]}})
    diagnosis = derive_diagnosis(record)
    assert diagnosis.verdict.startswith(
        "Do not trust this diagnosis: self-test failed: a known delay: 21 ms instead of 20 ms; "
        "other programs used up to 1.5 of 2 cores. The bottleneck is decoding"
    )
    used = "Other programs used up to 1.5 of 2 cores meanwhile: these are the rates of a busy "
    assert used in "\n".join(notes(record, diagnosis))
    assert "Other programs" not in "\n".join(notes(make_record(), diagnosis))


@pytest.fixture(scope="module")
def of_a_pipeline():
    """The published diagnosis of a user's function, with `--try`."""
    return read_diagnosis(RESULTS / "tutorial" / "diagnosis" / RECORD)


def test_a_stage_that_explains_the_stall_is_the_bottleneck(of_a_pipeline):
    verdict = derive_diagnosis(of_a_pipeline).verdict
    assert verdict.startswith("The bottleneck is map in pipeline.py, line 13, 88% of the work of ")
    assert "cannot be measured separately" not in verdict
    assert "line 13: serial map (+75%, measured)" in verdict
    text = "\n".join(notes(of_a_pipeline, derive_diagnosis(of_a_pipeline)))
    assert "by the idle time that disappears with each: the pipeline's stages 4" in text


def test_a_measured_gain_stands_before_the_predicted_one_right_above_the_verdict(
    of_a_pipeline, printed
):
    text = printed(*parts(of_a_pipeline, derive_diagnosis(of_a_pipeline)))
    assert "    gain +75% [+52%, +95%], measured (predicted: +64%)" in text
    places = ["Ceilings", "What if", "The slowest stage is", "Stages of the tf.data", "Mistakes, "]
    found = [text.index(place) for place in [*places, "The bottleneck is"]]
    assert found == sorted(found)


def test_a_pipeline_whose_rates_say_nothing_keeps_its_mistakes_without_a_gain(of_a_pipeline):
    (blocks,) = (part.blocks for part in of_a_pipeline.parts if part.name == "end to end")
    wild = [10.0 ** (index % 3 - 1) for index in range(len(blocks))]
    diagnosis = derive_diagnosis(noisy(of_a_pipeline, end_to_end=wild))
    assert diagnosis.bottleneck is None
    known = derive_diagnosis(of_a_pipeline).mistakes
    assert {one.name for one in diagnosis.mistakes} == {one.name for one in known}
    assert {(one.gain, one.tried) for one in diagnosis.mistakes} == {(None, None)}
    assert "gain unknown (the rates were not measured" in "\n".join(
        mistake_lines(diagnosis.mistakes)
    )


def test_a_rate_below_10_keeps_its_digits(printed):
    slow = Ceiling(name="loader", images_per_second=Estimate(value=0.4))
    assert "0.400 [–]" in printed(ceilings_table(Diagnosis(verdict="", ceilings=[slow])))


@pytest.mark.parametrize(
    ("devices", "name"),
    [
        (["GPU:0"], "the trainer"),
        (["GPU:0", "GPU:1"], "the trainer on 2 GPUs"),
        (["CPU:0", "CPU:1"], "the trainer on 2 logical devices of the CPU"),
    ],
)
def test_several_devices_are_named_as_the_consumer(make_record, devices, name):
    values = {"consumer": "train", "devices": devices, "on_gpu": devices[0] == "GPU:0"}
    record = make_record().model_copy(update=values)
    assert consumer_name(record) == name
    each = "each with 16 of the 32 images of a batch"
    said = [line for line in notes(record, derive_diagnosis(record)) if each in line]
    assert len(said) == (len(devices) > 1)
