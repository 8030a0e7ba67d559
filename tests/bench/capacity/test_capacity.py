"""What a target needs follows from the costs of an image, by arithmetic that can be checked."""

from pathlib import Path

import pytest

from feedbench.bench.capacity.costs import Costs, Span, costs_of_diagnosis, costs_of_trial
from feedbench.bench.capacity.needs import plan_for
from feedbench.bench.capacity.table import amount_text, parts, verdict
from feedbench.bench.capacity.target import Target, parse_accelerator
from feedbench.bench.errors import PlanError
from feedbench.bench.limits.limits import ColdReads
from feedbench.bench.record import Block, Host, Trial
from feedbench.bench.report.document import TableData
from feedbench.bench.results.find import read_result
from feedbench.bench.results.kinds import DiagnosisResult

DIAGNOSIS = Path(__file__).parents[3] / "results" / "diagnose-clothing"

COSTS = Costs(
    loader="turbo",
    image_size=200,
    batch_size=32,
    cores=4,
    cores_used=3.6,
    cpu_s=Span(likely=0.002, low=0.0018, high=0.0025),
    rate=Span(likely=1_800, low=1_500, high=2_000),
    cold_rate=5_000,
    read_wait_s=0.004,
)


def target(**values) -> Target:
    known = {"accelerator": "x", "count": 8, "rate": 1_000, "images": 1_000_000}
    return Target(**{**known, "bytes_per_image": 100_000, "cores": 32, **values})


def needs(planned) -> dict:
    return {need.resource: need for need in planned.needs}


def test_cores_are_the_rate_times_their_time_and_what_is_lost_on_full_cores():
    need = needs(plan_for(target(), COSTS, []))["cores that load"]
    assert need.amount.likely == pytest.approx(8_000 * 0.002 / 0.9)
    assert need.amount.low == pytest.approx(8_000 * 0.0018)
    assert need.amount.high == pytest.approx(8_000 * 0.0025 / 0.9)
    assert need.has == 32
    assert need.use == pytest.approx(need.amount.likely / 32)


def test_a_loader_that_left_most_cores_idle_loses_nothing_on_them():
    lone = COSTS.model_copy(update={"cores_used": 1.0})
    assert lone.efficiency == 1.0
    assert any(
        "with 1.0 of 4 cores in use" in text for text in plan_for(target(), lone, []).assumptions
    )


def test_a_machine_with_one_core_has_one_core():
    planned = plan_for(target(), COSTS.model_copy(update={"cores": 1, "cores_used": 0.5}), [])
    assert needs(planned)["service workers"].how.endswith("each like this machine, 1 core")
    assert any("with 0.5 of 1 core in use" in text for text in planned.assumptions)


def test_cores_that_are_twice_as_fast_are_half_as_many():
    slow, fast = (
        needs(plan_for(target(core_speed=speed), COSTS, []))["cores that load"].amount.likely
        for speed in (1, 2)
    )
    assert slow == pytest.approx(2 * fast)


def test_storage_network_and_memory_are_bytes_times_rate_or_images():
    planned = needs(plan_for(target(network_bits_per_s=25e9), COSTS, []))
    assert planned["storage bandwidth"].amount.likely == pytest.approx(8_000 * 100_000)
    assert planned["storage bandwidth"].has == pytest.approx(5_000 * 100_000)
    assert planned["storage reads"].amount.likely == 8_000
    assert planned["reads in flight"].amount.likely == pytest.approx(32)
    assert planned["network, remote files"].amount.likely == pytest.approx(6.4e9)
    assert planned["network, service"].amount.likely == pytest.approx(8_000 * 120_000 * 8)
    assert planned["memory, cached files"].amount.likely == pytest.approx(1e11)
    assert planned["memory, cached pixels"].amount.likely == pytest.approx(1.2e11)
    assert planned["service workers"].amount == Span(likely=5, low=4, high=6)


def test_the_limit_is_what_is_used_most_and_sets_the_expected_rate():
    planned = plan_for(target(), COSTS, [])
    assert planned.limit == "storage bandwidth"  # 8,000 of 5,000 images per second
    assert planned.images_per_second.likely == pytest.approx(5_000)
    assert planned.utilization == pytest.approx(5 / 8)
    assert "The limit is storage bandwidth" in verdict(planned)


def test_storage_limits_only_the_first_epoch_where_the_files_fit_into_memory():
    planned = plan_for(target(memory_bytes=4e11, network_bits_per_s=1e9), COSTS, [])
    assert planned.limit == "cores that load"  # nor does the network, which brings the files
    assert planned.images_per_second.likely == 8_000
    assert "Nothing limits the accelerators" in verdict(planned)


def test_hosts_add_up_but_each_needs_its_own_cache():
    planned = needs(plan_for(target(hosts=2, network_bits_per_s=10e9), COSTS, []))
    assert planned["cores that load"].has == 64
    assert planned["network, remote files"].has == 20e9
    assert planned["memory, cached files"].amount.likely == pytest.approx(1e11)


def test_the_storage_is_as_fast_as_it_was_with_the_files_that_were_measured():
    costs = COSTS.model_copy(update={"file_bytes": 10_000.0})
    planned = plan_for(target(), costs, [])
    assert needs(planned)["storage bandwidth"].has == pytest.approx(5_000 * 10_000)
    assert any(
        "measured have 10 kB on average, those of the target 100 kB" in text
        for text in planned.assumptions
    )
    same = plan_for(target(bytes_per_image=11_000), costs, [])
    assert not any("files that were measured" in text for text in same.assumptions)


@pytest.mark.parametrize(("count", "hosts", "full"), [(3, 2, 1.5), (1, 4, 1), (8, 2, 2)])
def test_hosts_with_fewer_accelerators_lend_their_cores_to_nobody(count, hosts, full):
    shared = target(count=count, hosts=hosts, network_bits_per_s=25e9)
    planned = plan_for(shared, COSTS, [])
    assert needs(planned)["cores that load"].has == pytest.approx(32 * full)
    assert needs(planned)["network, remote files"].has == pytest.approx(25e9 * full)
    noted = any("the one with most accelerators has" in text for text in planned.assumptions)
    assert noted == (count % hosts > 0)


@pytest.mark.parametrize("likely", [0.0, 0.002])
def test_a_block_in_which_no_cpu_time_was_counted_limits_nothing(likely):
    """As of a cached loader of small images: the clock of a process ticks every 10 ms."""
    idle = COSTS.model_copy(update={"cpu_s": Span(likely=likely, low=0, high=likely)})
    planned = plan_for(target(cores=4, storage_bytes_per_s=1e10), idle, [])
    assert planned.images_per_second.high == 8_000
    assert planned.images_per_second.likely == (pytest.approx(4 * 0.9 / 0.002) if likely else 8_000)


def test_shards_are_many_enough_to_share_and_large_enough_to_stream():
    many = plan_for(target(), COSTS, []).shards
    assert many.count >= 8 * 8
    assert 64e6 <= many.bytes <= 1e9
    few = plan_for(target(images=1_000), COSTS, []).shards
    assert (few.count, few.images) == (2, 500)


def test_what_is_unknown_of_the_target_limits_nothing():
    unknown = COSTS.model_copy(update={"cold_rate": None})
    planned = plan_for(target(cores=None), unknown, [])
    assert planned.limit is None
    assert "give --cores" in verdict(planned)


def test_the_table_has_a_row_per_need_and_every_assumption():
    planned = plan_for(target(), COSTS, ["An assumption."])
    printed = list(parts(planned))
    (table,) = (part for part in printed if isinstance(part, TableData))
    assert len(table.rows) == len(planned.needs)
    assert any(getattr(part, "text", "") == "An assumption." for part in printed)


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (1.25e9, "bytes/s", "1.25 GB/s"),
        (25e9, "bits/s", "25 Gbit/s"),
        (4.2, "workers", "5"),
        (1_234.4, "reads/s", "1,234/s"),
        (17.77, "cores", "17.8"),
    ],
)
def test_amounts_have_their_units(value, unit, text):
    assert amount_text(value, unit) == text


@pytest.mark.parametrize(("text", "parsed"), [("a100", ("a100", 1)), ("a100:8", ("a100", 8))])
def test_accelerators_are_a_name_and_a_number(text, parsed):
    assert parse_accelerator(text) == parsed


@pytest.mark.parametrize("text", ["a100:", "a100:0", ":8", "a100:eight", "a100:1000000", ""])
def test_other_forms_are_refused(text):
    with pytest.raises(PlanError, match="NAME:COUNT, such as a100:8"):
        parse_accelerator(text)


def timed(**values) -> Trial:
    blocks = [
        Block(seconds=1.0, images=100, wait_s=[], step_s=[], cpu_s=one, round=number)
        for number, one in enumerate((0.2, 0.3, 0.25))
    ]
    known = {"loader": "turbo", "settings": {}, "all_settings": {}, "consumer": "drain"}
    spec = {"image_size": 200, "batch_size": 32}
    return Trial(**{**known, "spec": spec, "recipe": {}, "images": 9, "blocks": blocks, **values})


def test_costs_of_a_trial_are_those_of_its_blocks():
    reads = [
        ColdReads(depth=depth, rates=[rate], bytes_per_image=10, disk_share=1.0)
        for depth, rate in ((1, 100.0), (4, 300.0))
    ]
    costs = costs_of_trial(timed(), 4, reads)
    assert costs.cpu_s == Span(likely=0.0025, low=0.002, high=0.003)
    assert costs.cores_used == pytest.approx(0.25)
    assert (costs.cold_rate, costs.read_wait_s) == (300, 0.01)


def test_a_trainer_on_the_same_cores_hides_what_the_loader_costs():
    with pytest.raises(PlanError, match="a bench with --consumer drain"):
        costs_of_trial(timed(consumer="train", device="CPU"), 4)
    assert costs_of_trial(timed(consumer="train", device="NVIDIA X"), 4).notes


def test_a_part_costs_the_time_of_its_core_however_long_it_had_to_wait_for_it():
    found = read_result(DIAGNOSIS)
    assert isinstance(found, DiagnosisResult)

    def waiting(part):
        blocks = [one.model_copy(update={"seconds": 3 * one.seconds}) for one in part.blocks]
        return part.model_copy(update={"blocks": blocks})

    busy = found.record.model_copy(update={"parts": [waiting(one) for one in found.record.parts]})
    quiet, slow = (costs_of_diagnosis(record).stages for record in (found.record, busy))
    assert slow["decoding"] == pytest.approx(quiet["decoding"])
    assert quiet["decoding"] == pytest.approx(0.0005, rel=0.05)


def test_a_plan_repeats_that_other_programs_used_the_cores():
    host = Host(at_s=[0.5, 1.0], cores={core: [1.0, 0.5] for core in range(4)})
    blocks = [block.model_copy(update={"host": host}) for block in timed().blocks]
    busy, quiet = costs_of_trial(timed(blocks=blocks), 2), costs_of_trial(timed(), 2)
    assert (busy.busy, quiet.busy) == ("up to 2.8 of 4 cores", "")
    warned, silent = (
        [getattr(part, "text", "") for part in parts(plan_for(target(), costs, []))]
        for costs in (busy, quiet)
    )
    assert any(text.startswith("Other programs used up to 2.8 of 4 cores") for text in warned)
    assert not any(text.startswith("Other programs") for text in silent)
    found = read_result(DIAGNOSIS)
    assert isinstance(found, DiagnosisResult)
    beside = [_beside(host, part) for part in found.record.parts]
    record = found.record.model_copy(update={"parts": beside})
    assert costs_of_diagnosis(record).busy.endswith("of 4 cores")


def _beside(host, part):
    blocks = [block.model_copy(update={"host": host}) for block in part.blocks]
    return part.model_copy(update={"blocks": blocks})


def test_a_loader_in_line_is_the_limit_however_many_cores_there_are():
    """1,800 images per second of one loader, and an accelerator that takes 3,000."""
    lone = COSTS.model_copy(update={"cores_used": 1.0, "most_workers": 1})
    planned = plan_for(target(count=2, rate=3_000, cores=64, storage_bytes_per_s=1e10), lone, [])
    need = needs(planned)["workers of the loader"]
    assert (need.amount.likely, need.has) == (pytest.approx(6_000 / 1_800), 2)
    assert planned.limit == "workers of the loader"
    assert planned.images_per_second.likely == pytest.approx(2 * 1_800)
    faster = plan_for(target(count=2, rate=3_000, cores=64, core_speed=2), lone, [])
    assert needs(faster)["workers of the loader"].use < 1


def test_as_many_workers_as_cores_are_no_limit_of_their_own():
    assert "workers of the loader" not in needs(plan_for(target(), COSTS, []))
    four = COSTS.model_copy(update={"most_workers": 8})
    need = needs(plan_for(target(), four, []))["workers of the loader"]
    assert need.amount.likely == pytest.approx(8_000 * 4 / 1_800)
    assert need.has == 8 * 8


def test_the_cache_of_a_loader_needs_memory_for_each_accelerator_and_no_storage():
    """120 GB of pixels, for 4 of 8 accelerators on each of two hosts."""
    cached = COSTS.model_copy(update={"kept": "pixels"})
    enough = plan_for(target(hosts=2, memory_bytes=5e11), cached, [])
    memory = needs(enough)["memory, cached pixels"]
    assert (memory.amount.likely, memory.is_required) == (pytest.approx(4.8e11), True)
    assert "first epoch only: the loader keeps" in needs(enough)["storage bandwidth"].how
    assert enough.images_per_second.likely == 8_000  # the storage delivers 5,000
    short = plan_for(target(hosts=2, memory_bytes=4e11), cached, [])
    assert verdict(short).startswith("The limit is memory, cached pixels: expected are 0 of 8,000")


@pytest.mark.parametrize(
    ("settings", "kept", "notes"),
    [
        ({"cache": "none"}, None, 0),
        ({"cache": "encoded"}, "files", 0),
        ({"cache": "decoded"}, "pixels", 0),
        ({"cache": "disk"}, None, 1),
        ({"pack": "packed"}, None, 1),
    ],
)
def test_what_a_loader_keeps_is_known_of_a_trial_and_of_a_diagnosis(settings, kept, notes):
    found = read_result(DIAGNOSIS)
    assert isinstance(found, DiagnosisResult)
    of_diagnosis = costs_of_diagnosis(found.record.model_copy(update={"settings": settings}))
    for costs in (costs_of_trial(timed(settings=settings), 4), of_diagnosis):
        assert (costs.kept, len(costs.notes)) == (kept, notes)
