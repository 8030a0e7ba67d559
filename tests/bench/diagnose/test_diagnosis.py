"""From made-up figures to causes, predictions and words; and one diagnosis for real."""

import json
import platform
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from feedbench.bench.diagnose import fixed
from feedbench.bench.diagnose.autotune import autotuned, chosen
from feedbench.bench.diagnose.derive import bottleneck, ceilings, rates_of, shares, stall
from feedbench.bench.diagnose.fixed import fixed_choices
from feedbench.bench.diagnose.predict import cores_needed, predictions, remedies
from feedbench.bench.diagnose.record import RECORD, Diagnosed, Part, read_diagnosed
from feedbench.bench.diagnose.table import notes
from feedbench.bench.diagnose.verdict import derive
from feedbench.bench.diagnose.waterfall import draw_waterfall
from feedbench.bench.errors import RecordError, TrialError
from feedbench.bench.plan.plan import Choice
from feedbench.bench.record import Block, Gpu
from feedbench.bench.trials.child import Child
from feedbench.bench.trials.messages import (
    TRIAL_WORKER,
    BlockDone,
    BlockRequest,
    TrialJob,
    WarmUpDone,
)
from feedbench.loaders import BatchSpec, find_loader, parse_settings, scan
from feedbench.loaders.stages.tensorflow import side_by_side

ENCODED = 100  # bytes of each made-up file


def blocks(rate: float, cores: float = 1.0, state: str | None = None) -> list[Block]:
    return [
        Block(
            round=turn,
            seconds=2.0,
            images=round(rate * 2 * (1 + noise)),
            wait_s=[],
            step_s=[],
            cpu_s=cores * 2,
            disk_read_bytes=round(rate * 2 * ENCODED) if state == "cold" else 0,
            consumed_bytes=round(rate * 2 * ENCODED) if state else None,
        )
        for turn, noise in enumerate((-0.01, 0.0, 0.01))
    ]


def diagnosed(state: str = "warm", **given) -> Diagnosed:
    """A machine of two cores; an in-line loader of 400 images a second unless said otherwise."""
    rates = {
        "storage_one": 20_000,
        "storage": 40_000,
        "decode": 500,
        "transform": 4_000,
        "assemble": 10_000,
        "loader": 400,
        "loader_warm": None,
        "loader_cores": 1.0,
        "consumer": 1_000,
        "whole": 400,
        **given,
    }
    warm = rates["loader_warm"] or rates["loader"]
    about = {"name": "storage", "cache_state": state, "moved_bytes": ENCODED}
    parts = [
        Part(parallel=1, blocks=blocks(rates["storage_one"], state=state), **about),
        Part(parallel=4, blocks=blocks(rates["storage"], state=state), **about),
    ]
    for name in ("decode", "transform"):
        for cores in (1, 2):
            made = blocks(rates[name] * cores, cores)
            parts.append(Part(name=name, parallel=cores, blocks=made))
    parts.append(Part(name="assemble", parallel=1, blocks=blocks(rates["assemble"])))
    own = blocks(rates["loader"], rates["loader_cores"], state)
    parts.append(Part(name="loader", cache_state=state, blocks=own))
    if state == "cold":
        own = blocks(warm, rates["loader_cores"], "warm")
        parts.append(Part(name="loader", cache_state="warm", blocks=own))
    parts.append(Part(name="consumer", blocks=blocks(rates["consumer"])))
    whole = blocks(rates["whole"], state=state)
    parts.append(Part(name="end to end", cache_state=state, blocks=whole))
    return Diagnosed(
        loader="keras_pil",
        settings={},
        consumer=given.get("fed", "emulated:a100"),
        accelerator=None,
        spec={"image_size": 224, "batch_size": 32},
        recipe={},
        cache_state=state,
        images=1_000,
        encoded_bytes=1_000 * ENCODED,
        decoded_bytes=1_000 * 3 * 224**2,
        cores=2,
        available_memory_bytes=10**9,
        on_gpu=False,
        parts=parts,
    )


def with_parts(record: Diagnosed, *parts: Part) -> Diagnosed:
    return record.model_copy(update={"parts": list(parts)})


def cause(**given) -> str:
    return bottleneck(rates_of(diagnosed(**given))).cause


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, "decoding"),
        ({"transform": 450, "decode": 5_000}, "transformation"),
        ({"assemble": 450, "decode": 5_000}, "batch copy"),
        ({"loader": 50, "whole": 50}, "Python"),
        ({"loader": 4_000, "decode": 5_000, "whole": 995}, "accelerator"),
        ({"loader": 4_000, "decode": 5_000, "whole": 600}, "interference"),
        ({"loader": 900, "loader_cores": 2.0, "whole": 600}, "interference"),
        (
            {"state": "cold", "loader": 100, "loader_warm": 400, "whole": 100, "storage_one": 150},
            "storage",
        ),
        # reads ahead, so that the rate of single reads says nothing: warm against cold does
        ({"state": "cold", "loader": 150, "loader_warm": 900, "whole": 150}, "storage"),
        ({"loader": 500, "decode": 5_000, "storage": 500, "storage_one": 150}, "storage"),
    ],
)
def test_the_bottleneck_is_named(given, expected):
    assert cause(**given) == expected


def with_copy(rate: float, bytes_an_image: int, **given) -> Diagnosed:
    record = diagnosed(loader=4_000, decode=5_000, whole=995, **given)
    part = Part(name="transfer", moved_bytes=bytes_an_image, blocks=blocks(rate))
    return with_parts(record, *record.parts[:-2], part, *record.parts[-2:])


def test_a_step_that_is_mostly_its_copy_is_held_up_by_the_copy():
    float32, uint8 = 4 * 3 * 224**2, 3 * 224**2
    copied = with_copy(1_100, float32)
    found = derive(copied)
    assert found.bottleneck.cause == "transfer"
    assert "The bottleneck is the copy to the device" in found.verdict
    made = {one.change: one for one in found.predictions}["uint8 batches"]
    step_s = 1 / 1_000 - 3 / 4 / 1_100
    assert made.images_per_second == pytest.approx(min(4_000, 1 / step_s) * 0.995)
    small = derive(with_copy(1_100, uint8))
    assert small.bottleneck.cause == "transfer"
    assert "uint8 batches" not in [one.change for one in small.predictions]
    assert derive(with_copy(9_000, float32)).bottleneck.cause == "accelerator"


def test_a_copy_to_a_device_is_timed_by_the_worker(tiny_photos, tmp_path):
    manifest = scan(tiny_photos).only("train")
    manifest.write(tmp_path / "manifest.parquet")
    job = TrialJob(
        manifest=tmp_path / "manifest.parquet",
        loader="synthetic",
        settings={"output": "float32"},
        spec=BatchSpec(batch_size=8, image_size=32),
        consumer="transfer",
        device="CPU:0",
        warm_up_s=0.1,
    )
    with Child(TRIAL_WORKER, job, tmp_path / "log") as child:
        child.wait_for(WarmUpDone, 120, "warm-up")
        block = child.ask(BlockRequest(seconds=0.2), BlockDone, 120, "a block").block
    assert block.images == 8 * len(block.step_s)
    missing = job.model_copy(update={"device": "GPU:7"})
    with (
        Child(TRIAL_WORKER, missing, tmp_path / "log") as child,
        pytest.raises(TrialError, match="TensorFlow does not find GPU:7"),
    ):
        child.wait_for(WarmUpDone, 120, "warm-up")


def test_the_shares_add_up_to_the_stall():
    record = diagnosed(loader=700, loader_cores=2.0, whole=600)
    found = shares(rates_of(record))
    assert sum(share.stall for share in found) == pytest.approx(0.4)
    assert {share.cause: share.stall for share in found}["interference"] == pytest.approx(0.1)
    assert stall(record).value == pytest.approx(0.4)
    assert stall(record).low < stall(record).high or stall(record).low == stall(record).value


def test_a_block_that_does_not_prove_its_state_is_in_no_figure():
    record = diagnosed()
    place = next(place for place, part in enumerate(record.parts) if part.name == "loader")
    part = record.parts[place]
    *fine, last = part.blocks
    read = {"disk_read_bytes": last.consumed_bytes, "images": last.images * 10}
    part = part.model_copy(update={"blocks": [*fine, last.model_copy(update=read)]})
    record = with_parts(record, *record.parts[:place], part, *record.parts[place + 1 :])
    (found,) = [one for one in ceilings(record) if one.name == "loader"]
    assert found.blocks == 2
    assert found.unproven == ["not warm: 100% of the bytes came from the disk"]
    assert found.images_per_second.high <= 400


def change(name: str, **given):
    record = diagnosed(**given)
    return {one.change: one for one in predictions(record, rates_of(record))}.get(name)


def test_twice_the_cores_double_only_a_loader_that_uses_them():
    busy = {"loader": 400, "whole": 400, "decode": 205}
    assert change("twice the cores", **busy, loader_cores=2.0).images_per_second == 800
    assert change("twice the cores", **busy, loader_cores=1.0).gain == pytest.approx(0)
    beyond = change("twice the cores", loader=700, whole=700, decode=400, loader_cores=2.0)
    assert beyond.images_per_second == 1_000
    assert beyond.accelerator_utilization == 1


def test_cores_that_add_little_to_decoding_are_predicted_to_add_as_little():
    record = diagnosed(loader=400, whole=400, decode=205, loader_cores=2.0)
    rates = rates_of(record).model_copy(update={"decode": 205 * 1.6})
    (found,) = [one for one in predictions(record, rates) if one.change == "twice the cores"]
    assert found.images_per_second == pytest.approx(400 * 1.6)


def test_what_no_part_explains_is_a_range_of_twice_the_cores():
    """Of 2.5 ms an image 1 is decoding, and more than 1 nobody knows what."""
    found = change("twice the cores", loader=400, whole=400, decode=1_000, loader_cores=2.0)
    assert found.low < found.images_per_second < found.high == pytest.approx(800)
    assert 1 / found.images_per_second == pytest.approx((1 / found.low + 1 / found.high) / 2)
    assert "half of what no part explains" in found.assumes


@pytest.mark.parametrize("folder", [".", "at-224"])
def test_two_published_cores_are_as_fast_as_one_of_them_predicts(folder):
    published = Path(__file__).parents[3] / "results" / "diagnose-clothing" / folder
    one, two = (read_diagnosed(published / name / RECORD) for name in ("one-core", "two-cores"))
    found = {made.change: made for made in predictions(one, rates_of(one))}["twice the cores"]
    assert found.images_per_second == pytest.approx(rates_of(two).whole, rel=0.1)
    assert rates_of(two).whole > 1.5 * rates_of(one).whole


def test_the_waiting_part_of_a_loader_stays_with_twice_the_cores():
    found = change("twice the cores", loader=400, whole=400, decode=205, loader_cores=1.6)
    assert found.images_per_second == pytest.approx(400 / (0.2 + 0.8 / 2))


def test_fixed_settings_take_the_place_of_what_is_left_to_autotune():
    assert [one.settings for one in fixed_choices(Choice(loader="tf_data"), 2)] == [
        {"num_parallel_calls": 2, "prefetch": 2},
        {"num_parallel_calls": 4, "prefetch": 2},
    ]
    given = {"num_parallel_calls": 3, "cache": "decoded"}
    (one,) = fixed_choices(Choice(loader="tf_data", settings=given), 2)
    assert one.settings == {**given, "prefetch": 2}
    whole = Choice(loader="tf_data", settings={"num_parallel_calls": 3, "prefetch": 0})
    assert fixed_choices(whole, 2) == []
    assert fixed_choices(Choice(loader="turbo"), 2) == []


@pytest.mark.parametrize(("worth", "faster"), [(1.25, True), (0.9, False)])
def test_the_best_fixed_setting_is_held_against_autotune(worth, faster):
    record = diagnosed(loader=400, decode=5_000, loader_cores=2.0, whole=400)
    tuned = next(part for part in record.parts if part.name == "loader")
    for calls, gain in ((2, worth * 0.9), (4, worth)):
        blocks = [
            one.model_copy(update={"seconds": one.seconds / gain / (1 + 0.01 * number)})
            for number, one in enumerate(tuned.blocks)
        ]
        settings = {"num_parallel_calls": calls}
        part = Part(name="fixed", cache_state="warm", settings=settings, blocks=blocks)
        record = with_parts(record, *record.parts, part)
    found = derive(record)
    assert (found.fixed.settings, found.fixed.tried) == ({"num_parallel_calls": 4}, 2)
    assert found.fixed.ratio.value == pytest.approx(worth * 1.01)
    made = {one.change: one for one in found.predictions}
    assert ("fixed parallelism" in made) is faster
    if faster:
        assert made["fixed parallelism"].images_per_second == pytest.approx(505)
    assert "num_parallel_calls=4 gave" in fixed.words(found.fixed)


def test_storage_and_image_size_are_predicted_as_asked():
    slow = diagnosed(state="cold", loader=200, loader_warm=400, whole=200)
    asked = {"faster_storage": 10.0, "other_image_size": 448}
    record = slow.model_copy(update=asked)
    made = {one.change: one for one in predictions(record, rates_of(record))}
    faster, larger = made["faster storage"], made["another image size"]
    assert faster.how == "storage 10 times as fast"
    assert 1 / faster.images_per_second == pytest.approx(1 / 400 + (1 / 200 - 1 / 400) / 10)
    assert larger.how == "448 px instead of 224"
    assert larger.images_per_second < 200
    assert change("another image size").how == "112 px instead of 224"


def test_faster_storage_shortens_only_what_cold_files_add():
    slow = {"state": "cold", "loader": 200, "loader_warm": 400, "whole": 200}
    found = change("faster storage", **slow)
    assert 1 / found.images_per_second == pytest.approx(1 / 400 + (1 / 200 - 1 / 400) / 4)
    assert change("files in memory", **slow).images_per_second == 400
    assert change("faster storage").gain == 0


def test_decoded_images_are_offered_only_if_they_fit():
    record = diagnosed()
    assert "decoded images in memory" in [
        one.change for one in remedies(predictions(record, rates_of(record)))
    ]
    small = record.model_copy(update={"available_memory_bytes": 10**8})
    found = predictions(small, rates_of(small))
    (cached,) = [one for one in found if one.change == "decoded images in memory"]
    assert (cached.fits, cached.needs_bytes) == (False, 1_000 * 3 * 224**2)
    assert cached not in remedies(found)


def test_remedies_come_by_their_gain_and_an_accelerator_is_none_while_one_starves():
    record = diagnosed()
    found = remedies(predictions(record, rates_of(record)))
    assert [one.gain for one in found] == sorted((one.gain for one in found), reverse=True)
    assert not any(one.change == "one more accelerator" for one in found)
    full = diagnosed(loader=4_000, decode=5_000, whole=1_000)
    best = remedies(predictions(full, rates_of(full)))[0]
    assert (best.change, best.images_per_second) == ("one more accelerator", 2_000)


def test_cores_needed_follow_from_processor_time_an_image():
    record = diagnosed(loader=400, loader_cores=1.0, consumer=1_000)
    needed = cores_needed(record, rates_of(record))
    assert [(one.accelerators, one.cores) for one in needed] == [(1, 3), (2, 5), (4, 10), (8, 20)]
    assert cores_needed(diagnosed(fed="train"), rates_of(record)) is None


def test_a_trainer_on_the_same_cores_gains_from_more_of_them_too():
    given = {"fed": "train", "loader": 800, "decode": 450, "loader_cores": 2.0, "consumer": 20}
    found = change("twice the cores", whole=19, **given)
    assert found.images_per_second == pytest.approx(38, rel=0.01)
    assert change("one more accelerator", whole=19, **given) is None


def test_a_cache_gives_a_trainer_its_cores_back():
    given = {"fed": "train", "loader": 800, "decode": 450, "loader_cores": 2.0, "consumer": 100}
    found = change("decoded images in memory", whole=80, **given)
    assert found.images_per_second == pytest.approx(100, rel=0.02)


def without(record: Diagnosed, *names: str) -> Diagnosed:
    """The record of a loader that does not have these stages."""
    parts = [part for part in record.parts if part.name not in names]
    return record.model_copy(update={"parts": parts})


def gathered(**given) -> Diagnosed:
    """A full cache of decoded images, gathered on both cores."""
    record = diagnosed(**{"loader": 5_000, "loader_cores": 2.0, "whole": 5_000, **given})
    record.parts.insert(0, Part(name="assemble", parallel=2, blocks=blocks(given["both"], 2)))
    return without(record, "storage", "decode", "transform")


def test_a_stage_that_a_loader_does_not_have_is_neither_blamed_nor_predicted():
    record = gathered(consumer=20_000, assemble=12_000, both=20_000)
    found = derive(record)
    assert {share.cause for share in found.shares} == {"batch copy", "Python", "interference"}
    assert sum(share.stall for share in found.shares) == pytest.approx(0.75)
    assert found.bottleneck.cause == "Python"
    made = {one.change: one for one in found.predictions}
    assert made.keys() == {"twice the cores", "one more accelerator", "another image size"}
    assert "as the batch copy shows" in made["twice the cores"].assumes
    assert made["another image size"].images_per_second <= 4 * 5_000


def test_twice_the_cores_gather_as_far_as_the_batch_copy_spread():
    record = gathered(consumer=20_000, assemble=3_000, both=5_000)
    (found,) = [one for one in derive(record).predictions if one.change == "twice the cores"]
    assert found.images_per_second == pytest.approx(5_000 * 2 * 5 / 6)


def test_a_pack_of_pixels_may_be_held_up_by_reading_but_not_by_decoding():
    record = diagnosed(storage_one=500, storage=500, loader=490, whole=490)
    found = derive(without(record, "decode", "transform", "assemble"))
    assert found.bottleneck.cause == "storage"
    changes = {one.change for one in found.predictions}
    assert not {"decoded images in memory", "all cores decode", "another image size"} & changes


def test_what_a_loader_without_stages_does_is_unexplained():
    found = derive(without(diagnosed(loader_cores=2.0), "decode", "transform", "assemble"))
    assert found.bottleneck.cause == "unexplained"
    assert found.verdict.startswith("The bottleneck is the loader: with keras_pil, emulated:a100")
    assert {share.cause for share in found.shares} == {"storage", "unexplained", "interference"}
    assert "twice the cores" not in {one.change for one in found.predictions}


def test_an_image_that_needs_no_copy_is_predicted_from_memory_as_an_upper_bound():
    record = without(diagnosed(consumer=30_000), "assemble")
    made = {one.change: one for one in derive(record).predictions}
    assert made["decoded images in memory"].images_per_second == 30_000
    assert "an upper bound" in made["decoded images in memory"].assumes


def test_a_stage_that_could_not_be_measured_is_not_taken_for_an_absent_one():
    record = diagnosed()
    for part in record.parts:
        if part.name == "decode":
            part.blocks, part.error = [], "out of memory"
    found = derive(record)
    assert found.bottleneck is None
    assert found.verdict == "No verdict: decode could not be measured: out of memory"


def test_every_prediction_says_what_it_assumes():
    record = diagnosed()
    assert all(one.assumes for one in predictions(record, rates_of(record)))


def test_without_a_part_there_is_no_verdict_but_its_reason():
    record = diagnosed()
    failed = Part(name="end to end", error="crashed in warm-up: SIGKILL")
    record = with_parts(record, *record.parts[:-1], failed)
    found = derive(record)
    assert found.bottleneck is None
    assert found.verdict == (
        "No verdict: end to end could not be measured: crashed in warm-up: SIGKILL"
    )


def test_the_sentence_names_bottleneck_stall_and_the_first_remedies(tmp_path):
    found = derive(diagnosed())
    assert found.verdict.startswith("The bottleneck is decoding: with keras_pil, emulated:a100")
    assert "idles 60% of the time" in found.verdict
    assert "Predicted to gain most: decoded images in memory (+150%)" in found.verdict
    draw_waterfall(found, tmp_path / "waterfall.png", "a test")
    assert (tmp_path / "waterfall.png").read_bytes().startswith(b"\x89PNG")


def test_a_gpu_that_says_busy_while_the_consumer_waits_is_contradicted():
    record = diagnosed()
    gpu = Gpu(index=0, at_s=[1.0], utilization=[0.99], multiprocessors=[0.2])
    *others, whole = record.parts
    busy = [one.model_copy(update={"wait_s": [1.0], "gpus": [gpu]}) for one in whole.blocks]
    record = with_parts(record, *others, whole.model_copy(update={"blocks": busy}))
    said = "\n".join(notes(record, derive(record)))
    assert "End to end. GPU 0: a kernel running 99% of the time (NVML), 20% of" in said
    assert "waited for batches 50% of it: believe the wait. 60% of the rate" in said
    assert "End to end." not in "\n".join(notes(diagnosed(), derive(diagnosed())))


def test_autotuned_settings_are_told_and_fixed_ones_are_none_of_it(tiny_photos):
    manifest, spec = scan(tiny_photos).only("train"), BatchSpec(batch_size=8, image_size=16)
    loader = find_loader("tf_data")
    nodes = autotuned(loader, manifest, spec, loader.settings(), 0.5)
    assert "parallelism" in {name for node in nodes for name in node.autotuned}
    assert any("parallelism" in one for one in chosen(nodes))
    fixed = parse_settings(loader, {"num_parallel_calls": 2})
    half = autotuned(loader, manifest, spec, fixed, 0.5)
    assert "parallelism" not in {name for node in half for name in node.autotuned}
    whole = parse_settings(loader, {"num_parallel_calls": 2, "prefetch": 0})
    assert autotuned(loader, manifest, spec, whole, 0.5) == []
    assert autotuned(find_loader("turbo"), manifest, spec, find_loader("turbo").settings(), 1) == []


def test_pictures_lie_side_by_side_where_a_slice_needs_no_copy():
    random = np.random.default_rng(0)
    shapes = [(5, 7, 3), (64, 33, 3), (1, 1, 3)]
    pictures = [random.integers(0, 255, shape, np.uint8) for shape in shapes]
    places, held = side_by_side(pictures)
    for pixels, (begin, end, *shape) in zip(pictures, places.tolist(), strict=True):
        assert begin % 64 == 0
        assert np.array_equal(held[begin:end].reshape(shape), pixels)


def test_a_record_of_another_kind_is_refused_in_one_line(tmp_path):
    (tmp_path / RECORD).write_text('{"loader": 1}')
    with pytest.raises(RecordError, match=r"diagnosis-record\.json: loader: "):
        read_diagnosed(tmp_path / RECORD)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"schema_number": 99}', r"diagnosis-record\.json: schema 99 is newer than \d+; upgrade"),
        ("[]", "not the record of a diagnosis"),
        ("{", "not the record of a diagnosis"),
    ],
)
def test_a_record_of_a_newer_version_or_no_record_is_refused(tmp_path, text, words):
    (tmp_path / RECORD).write_text(text)
    with pytest.raises(RecordError, match=words):
        read_diagnosed(tmp_path / RECORD)


@pytest.mark.parametrize("loader", ["keras_pil", "tf_data"])
def test_a_real_diagnosis_measures_every_part_and_is_derived_anew(loader, tiny_photos, tmp_path):
    out = tmp_path / "out"
    (tmp_path / "best.toml").write_text(
        f"""loader = "{loader}"
        spec = {{batch_size = 8, image_size = 64}}
        recipe = {{alpha = 0.5}}
        """
    )
    options = ["--loader", str(tmp_path), "--image-size", "32", "--consumer", "emulated:rtx3090"]
    options += ["--out", str(out), "--json", str(tmp_path / "found.json")]
    options += ["--seconds", "1"]
    subprocess.run(
        [sys.executable, "-m", "feedbench.bench.cli", "diagnose", str(tiny_photos), *options],
        check=True,
    )
    record = read_diagnosed(out / RECORD)
    assert (record.spec["batch_size"], record.spec["image_size"]) == (8, 32)
    assert record.recipe["alpha"] == 0.5
    assert {part.name for part in record.parts} - {"fixed"} == {
        *("storage", "decode", "transform", "assemble"),
        *("loader", "consumer", "end to end"),
    }
    assert [part.error for part in record.parts if part.error] == []
    tried = [part.settings for part in record.parts if part.name == "fixed"]
    assert len(tried) == (2 if loader == "tf_data" else 0)
    assert (derive(record).fixed is not None) == bool(tried)
    assert min(len(part.blocks) for part in record.parts) >= 3
    assert record.rows == scan(tiny_photos).only("train").fingerprint(sizes=True)
    assert record.machine["cores"] == record.cores
    assert record.versions["python"] == platform.python_version()
    kept = json.loads((tmp_path / "found.json").read_text())
    assert kept == json.loads(derive(record).model_dump_json())
    assert (out / "waterfall.png").exists()
    whole = record.parts[-1]
    assert all(block.host.cores for part in record.parts[-3:] for block in part.blocks)
    assert (out / "timeline.png").read_bytes().startswith(b"\x89PNG")
    events = json.loads((out / "trace.json").read_text())["traceEvents"]
    assert sum(event["name"] == "step" for event in events) == sum(
        len(block.step_s) for block in whole.blocks
    )
