"""How the batches of a training came is in its record and its output."""

from types import SimpleNamespace

from feedbench.bench.training.delivery import delivery_record, delivery_sentences
from feedbench.loaders import Stream
from feedbench.loaders.service.ledger import Losses
from feedbench.loaders.service.traffic import Traffic

EPOCHS = [SimpleNamespace(images=100), SimpleNamespace(images=100)]


def test_bytes_and_losses_of_a_service_are_recorded_and_said():
    stream = Stream(
        iter(()),
        traffic=lambda: Traffic(received=3_000_000, sent=2_000),
        losses=lambda: Losses(4, 1, ("worker process 7 ended with SIGKILL",), 2),
    )
    record = {"loader": "tf_data_service", **delivery_record(stream, EPOCHS, 1)}
    assert record["network"]["images"] == 200
    assert list(delivery_sentences(record)) == [
        "Network, per image: 15.0 kB received, 10 bytes sent.",
        "tf_data_service: batches that were lost and requested again: 4.",
        "tf_data_service: batches that came twice and were used once: 1.",
        "tf_data_service: images that the workers could not read, and that were decoded on this "
        "machine: 2.",
        "tf_data_service: worker process 7 ended with SIGKILL.",
    ]


def test_gradients_of_other_machines_are_not_taken_for_batches():
    stream = Stream(iter(()), traffic=lambda: Traffic(1, 1))
    assert delivery_record(stream, EPOCHS, workers=2)["network"] is None


def test_nothing_is_said_of_other_loaders():
    record = delivery_record(Stream(iter(())), EPOCHS, 1)
    assert record == {"network": None, "losses": None}
    assert not list(delivery_sentences({"loader": "turbo", **record, "why_not_once": None}))


def test_rows_that_repeat_are_said():
    assert list(delivery_sentences({"loader": "x", "why_not_once": "rows repeat"})) == [
        "x: rows repeat."
    ]
