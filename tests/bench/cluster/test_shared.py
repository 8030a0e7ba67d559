"""What several workers cannot train together is refused before they wait for each other."""

from types import SimpleNamespace

import pytest

from feedbench.bench.analysis.best import Best
from feedbench.bench.cluster.hosts import Cluster, Waits
from feedbench.bench.cluster.tf_config import TF_CONFIG
from feedbench.bench.errors import PlanError
from feedbench.bench.training import shared
from feedbench.bench.training.shared import check_shared
from feedbench.loaders import BatchSpec, LoaderError
from feedbench.trainer import DevicesError, Recipe


@pytest.fixture(autouse=True)
def _without_keras(monkeypatch):
    monkeypatch.setattr(shared, "_check_backend", lambda alone: None)


def check(
    workers=2,
    batch_size=8,
    loader="turbo",
    origin="hosts.toml",
    settings=None,
    is_resumed=False,
    **recipe,
):
    addresses = tuple(f"10.0.0.{number}:4711" for number in range(workers))
    best = Best(loader=loader, settings=settings or {})
    spec = BatchSpec(batch_size=batch_size)
    setup = SimpleNamespace(best=best, recipe=Recipe(**recipe), spec=spec)
    check_shared(Cluster(addresses, 0, Waits(), origin), setup, is_resumed=is_resumed)


@pytest.mark.parametrize("loader", ["turbo", "tf_data", "keras_pil", "tf_data_service"])
def test_loaders_that_follow_the_order_are_shared(loader):
    check(loader=loader)


def test_a_batch_that_workers_cannot_divide_names_workers_and_sizes():
    words = r"10 images cannot be divided equally over 4 workers; use --batch-size 8 or 12, or 2 w"
    with pytest.raises(DevicesError, match=words):
        check(workers=4, batch_size=10)
    with pytest.raises(DevicesError, match=r"equally over 4 workers; use 2 workers$"):
        check(workers=4, batch_size=10, is_resumed=True)


@pytest.mark.parametrize(
    ("loader", "settings", "words"),
    [
        ("keras_directory", {}, "keras_directory decides itself"),
        ("tf_data", {"cache": "disk"}, "tf_data: cache=disk must be full after the first epoch"),
        (
            "tf_data_service",
            {"service": "10.0.0.9:5050", "job_name": "one"},
            "tf_data_service: each worker has images of its own",
        ),
    ],
)
def test_loaders_whose_batches_cannot_be_divided_are_refused(loader, settings, words):
    with pytest.raises(LoaderError, match=words):
        check(loader=loader, settings=settings)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"network": "model.py:build"}, "model.py:build: a model of your own trains on one machin"),
        ({"jit_compile": True}, "jit_compile: XLA compiles the step of one machine alone; set it"),
    ],
)
def test_what_trains_on_one_machine_alone_is_refused(values, words):
    with pytest.raises(PlanError, match=f"{words}.*leave out --cluster"):
        check(**values)
    with pytest.raises(PlanError, match=f"{words}.*unset {TF_CONFIG}"):
        check(origin=TF_CONFIG, **values)
