"""A tf.data service: its workers and the network as causes, and how many workers are needed."""

import pytest

from feedbench.bench.diagnose.notes import notes
from feedbench.bench.diagnose.rates import rates_of
from feedbench.bench.diagnose.record import Part
from feedbench.bench.diagnose.stall_shares import bottleneck, stall_parts
from feedbench.bench.diagnose.verdict import derive_diagnosis


@pytest.fixture
def make_service(make_record, make_blocks, without):
    """A function: the record of a service with these rates."""

    def make(made, sent, loader, end_to_end=None, consumer=1_000, running=1, **settings):
        rates = {"loader": loader, "end_to_end": end_to_end or min(loader, consumer)}
        record = make_record(consumer=consumer, kind=None, workers=None, **rates)
        record = without(record, "storage", "decoding", "transform", "batch copy")
        crossing = [
            block.model_copy(update={"received_bytes": 12_000 * block.images, "sent_bytes": 90})
            for block in make_blocks(sent)
        ]
        parts = [
            Part(name="service workers", blocks=make_blocks(made)),
            Part(name="network", blocks=crossing),
            *record.parts,
        ]
        settings = {"service": "host:5050", **settings}
        values = {"loader": "tf_data_service", "settings": settings, "service_workers": running}
        return record.model_copy(update={"parts": parts, **values})

    return make


def shares(record):
    return {part.cause: part.stall for part in stall_parts(rates_of(record))}


@pytest.mark.parametrize(
    ("made", "sent", "loader", "cause"),
    [
        (2_000, 200, 200, "network"),
        (2_000, 200, 195, "network"),
        (200, 5_000, 195, "service workers"),
        (400, 500, 395, "service workers"),
        (1_000, 1_000, 100, "unexplained"),
    ],
)
def test_the_slower_of_workers_and_network_is_named(make_service, made, sent, loader, cause):
    assert bottleneck(rates_of(make_service(made, sent, loader))).cause == cause


def test_a_slow_network_is_the_cause_of_all_of_the_stall(make_service):
    record = make_service(made=2_000, sent=200, loader=200)
    assert shares(record)["network"] == pytest.approx(0.8, abs=0.01)
    assert bottleneck(rates_of(record)).rate_without == pytest.approx(1_000)


def test_without_the_network_the_workers_are_as_fast_as_they_were_measured(make_service):
    record = make_service(made=600, sent=200, loader=200, consumer=1_000)
    (network,) = [one for one in stall_parts(rates_of(record)) if one.cause == "network"]
    assert network.rate_without == pytest.approx(600, rel=0.01)


def test_on_the_same_cores_making_and_sending_add_up(make_service):
    record = make_service(made=500, sent=500, loader=250, consumer=1_000)
    parts = {one.cause: one for one in stall_parts(rates_of(record))}
    assert parts["network"].stall == pytest.approx(parts["service workers"].stall, abs=0.01)
    assert parts["network"].rate_without == pytest.approx(500, rel=0.01)


@pytest.mark.parametrize(
    ("made", "sent", "loader"),
    [(2_000, 200, 200), (200, 5_000, 195), (500, 500, 250), (800, 900, 700), (300, 900, 310)],
)
def test_the_shares_add_up_to_the_stall(make_service, made, sent, loader):
    record = make_service(made, sent, loader)
    assert sum(shares(record).values()) == pytest.approx(1 - loader / 1_000, abs=0.001)


@pytest.mark.parametrize(("made", "running", "needed"), [(400, 1, 3), (800, 2, 3), (1_100, 1, 1)])
def test_the_workers_needed_follow_from_the_rate_of_one(make_service, made, running, needed):
    record = make_service(made, sent=5_000, loader=made * 0.95, running=running)
    diagnosis = derive_diagnosis(record)
    assert diagnosis.workers_needed.needed == needed
    (line,) = [line for line in notes(record, diagnosis) if line.startswith("Service workers")]
    assert f"busy: {needed}" in line
    assert "Assumed: each is as fast as the" in line


def test_where_the_network_carries_too_little_no_number_of_workers_helps(make_service):
    record = make_service(made=300, sent=600, loader=290)
    diagnosis = derive_diagnosis(record)
    assert not diagnosis.workers_needed.carries
    text = " ".join(notes(record, diagnosis))
    assert "No number of service workers keeps" in text
    assert "for which 2 workers are enough" in text


def test_a_network_that_may_carry_enough_is_not_said_to_carry_too_little(make_service, make_blocks):
    record = make_service(made=300, sent=600, loader=290)
    network = next(part for part in record.parts if part.name == "network")
    spread = [make_blocks(rate)[round_] for round_, rate in enumerate((300, 600, 2_600))]
    parts = [
        part.model_copy(update={"blocks": spread}) if part is network else part
        for part in record.parts
    ]
    record = record.model_copy(update={"parts": parts})
    text = " ".join(notes(record, derive_diagnosis(record)))
    assert "It is not certain that any number of service workers keeps" in text


def test_the_predictions_of_a_service(make_service):
    diagnosis = derive_diagnosis(make_service(made=300, sent=5_000, loader=295))
    changes = {one.change: one for one in diagnosis.predictions}
    assert changes["one more service worker"].gain == pytest.approx(1, abs=0.05)
    assert "another image size" not in changes
    assert changes["no network"].gain == pytest.approx(0.02, abs=0.02)


def test_the_ceiling_of_the_network_has_its_measured_bytes(make_service):
    diagnosis = derive_diagnosis(make_service(made=2_000, sent=200, loader=200))
    (network,) = [one for one in diagnosis.ceilings if one.name == "network"]
    assert network.bytes_per_second == pytest.approx(200 * 12_000, rel=0.01)


def test_rows_that_repeat_are_noted(make_service):
    record = make_service(2_000, 200, 200, processing_mode="off")
    lines = notes(record, derive_diagnosis(record))
    assert any("each worker gives every row" in line for line in lines)
