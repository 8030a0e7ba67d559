"""Which workers there are, and which of them this process is."""

import json

import pytest

from feedbench.bench.cluster.hosts import cluster_of
from feedbench.bench.cluster.tf_config import TF_CONFIG
from feedbench.bench.errors import PlanError


@pytest.fixture(autouse=True)
def _no_tf_config(monkeypatch):
    monkeypatch.delenv(TF_CONFIG, raising=False)


def _file(tmp_path, text):
    path = tmp_path / "hosts.toml"
    path.write_text(text)
    return path


def test_a_file_lists_the_workers(tmp_path):
    path = _file(tmp_path, 'workers = ["10.9.9.1:4711", "10.9.9.2:4712"]\nsilence_s = 5')
    cluster = cluster_of(path, 1)
    assert cluster.addresses == ("10.9.9.1:4711", "10.9.9.2:4712")
    assert cluster.share == (1, 2)
    assert not cluster.is_chief
    assert cluster.waits.silence_s == 5
    assert cluster.name(0) == "the chief (10.9.9.1:4711)"


def test_a_machine_finds_itself_by_its_address(tmp_path):
    path = _file(tmp_path, 'workers = ["203.0.113.7:4711", "127.0.0.1:4711"]')
    assert cluster_of(path, None).worker == 1


@pytest.mark.parametrize(
    ("text", "worker", "message"),
    [
        ('workers = ["127.0.0.1:1", "127.0.0.1:2"]', None, "2 of its workers have an address of"),
        ('workers = ["203.0.113.7:1", "203.0.113.8:2"]', None, "none of its workers has an addr"),
        ('workers = ["10.0.0.1:1", "10.0.0.2:2"]', 2, "lists 2 workers, counted from 0"),
        ('workers = ["10.0.0.1:1", "10.0.0.1:1"]', 0, "10.0.0.1:1 is listed twice"),
        ('workers = ["http://10.0.0.1:1", "10.0.0.2:1"]', 0, "must be HOST:PORT"),
        ('workers = ["10.0.0.1", "10.0.0.2"]', 0, "'10.0.0.1' must be HOST:PORT"),
        ('workers = ["10.0.0.1:0", "10.0.0.2:1"]', 0, "'10.0.0.1:0' must be HOST:PORT"),
        ('workers = ["10.0.0.1:1"]', 0, "workers: must have at least 2 values, got 1"),
        ('hosts = ["10.0.0.1:1", "10.0.0.2:1"]', 0, "hosts"),
        ('workers = ["10.0.0.1:1", "10.0.0.2:2"]\nsilence_s = inf', 0, "silence_s: must be"),
        ('workers = ["10.0.0.1:1", "10.0.0.2:2"]\nsilence_s = 1e12', 0, "silence_s: must be"),
        ('workers = ["10.0.0.1:1", "10.0.0.2:2"]\njoin_s = inf', 0, "join_s: must be"),
        ("workers = [", 0, "not TOML"),
    ],
)
def test_a_file_with_a_mistake_is_refused_in_a_line(tmp_path, text, worker, message):
    with pytest.raises(PlanError) as refused:
        cluster_of(_file(tmp_path, text), worker)
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_file_that_is_missing_is_refused_with_an_example(tmp_path):
    with pytest.raises(PlanError, match=r"hosts\.toml: No such file or directory; list the worke"):
        cluster_of(tmp_path / "hosts.toml", None)


def _config(cluster, task):
    return json.dumps({"cluster": cluster, "task": task})


def test_tf_config_names_the_workers(monkeypatch):
    jobs = {"chief": ["a:1"], "worker": ["b:1", "c:1"]}
    monkeypatch.setenv(TF_CONFIG, _config(jobs, {"type": "worker", "index": 1}))
    cluster = cluster_of(None, None)
    assert cluster.addresses == ("a:1", "b:1", "c:1")
    assert cluster.worker == 2
    monkeypatch.setenv(TF_CONFIG, _config(jobs, {"type": "chief", "index": 0}))
    assert cluster_of(None, None).is_chief


def test_without_other_workers_a_process_trains_alone(monkeypatch):
    assert cluster_of(None, None) is None
    for alone in (
        "{}",
        _config({}, {}),
        _config({"worker": ["a:1"]}, FIRST),
        json.dumps({"task": FIRST, "environment": "cloud"}),  # for TensorFlow alone, too
        json.dumps({"task": {"type": "master", "index": 0}}),
    ):
        monkeypatch.setenv(TF_CONFIG, alone)
        assert cluster_of(None, None) is None


TWO = {"worker": ["a:1", "b:1"]}
FIRST = {"type": "worker", "index": 0}


def _of(cluster, *addresses):
    """TF_CONFIG with other addresses of a job."""
    return _config({cluster: [*addresses]}, FIRST)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("workers", "not JSON"),
        ('{\n"cluster":\n', "not JSON"),
        ("[" * 100_000, "not JSON"),
        ("[]", "must be a JSON object with cluster and task, got '[]'"),
        (json.dumps({"clusters": TWO, "task": FIRST}), "cluster: field required"),
        (json.dumps({"task": {"type": "worker", "index": 1}}), "task.index: is 1, so that there a"),
        (_config({}, {"type": "worker", "index": 1}), "task.index: is 1, so that there are other"),
        (_config([], FIRST), "cluster: must be a table, got []"),
        (_config({**TWO, "ps": ["c:1"]}, FIRST), "there is no 'cluster.ps'; there are chief, wor"),
        (_config({"worker": "a:1"}, FIRST), "cluster.worker: must be a list of text, got 'a:1'"),
        (_config({"worker": {"0": "a:1"}}, FIRST), "cluster.worker: must be a list of text"),
        (_of("worker", 1, 2), "cluster.worker: must be a list of text, got 1"),
        (_of("worker", "a", "b:1"), "cluster: 'a' must be HOST:PORT"),
        (_of("worker", "a:1", "b:65536"), "cluster: 'b:65536' must be HOST:PORT"),
        (_of("worker", "grpc://a:1", "b:1"), "cluster: 'grpc://a:1' must be HOST:PORT"),
        (_of("worker", "a:1", "a:1"), "cluster: a:1 is listed twice"),
        (_config({"chief": ["a:1", "b:1"]}, FIRST), "cluster.chief: lists 2 addresses, and there"),
        (json.dumps({"cluster": TWO}), "task: field required"),
        (_config(TWO, []), "task: must be a table, got []"),
        (_config(TWO, {"index": 0}), "task.type: field required"),
        (_config(TWO, {"type": "evaluator", "index": 0}), "task.type: must be chief or worker"),
        (_config(TWO, {"type": "worker"}), "task.index: field required"),
        (_config(TWO, {"type": "worker", "index": "0"}), "task.index: must be an integer of at"),
        (_config(TWO, {"type": "worker", "index": True}), "task.index: must be an integer of at"),
        (_config(TWO, {"type": "worker", "index": 2}), "task.index: the cluster lists 2 of type"),
        (_config(TWO, {"type": "chief", "index": 0}), "task.index: the cluster lists 0 of type"),
        (_config({"worker": ["a:1"]}, {"type": "worker", "index": 1}), "the cluster lists 1 of"),
    ],
)
def test_tf_config_with_a_mistake_is_refused_in_a_line(monkeypatch, text, message):
    monkeypatch.setenv(TF_CONFIG, text)
    with pytest.raises(PlanError) as refused:
        cluster_of(None, None)
    assert message in str(refused.value)


def test_a_worker_without_a_file_is_refused():
    with pytest.raises(PlanError, match="needs --cluster"):
        cluster_of(None, 1)
