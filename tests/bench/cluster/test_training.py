"""Two workers train one network: their record, a killed worker, and the resumed curve."""

import json
import signal
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from feedbench.trainer.checkpoint import CHECKPOINT

sys.path.insert(0, str(Path(__file__).parent))
from trainings import Cluster, error_line, finished, wait_for

pytestmark = pytest.mark.beyond


@pytest.fixture(scope="module")
def cluster(tmp_path_factory, splits_folder):
    return Cluster(tmp_path_factory.mktemp("cluster"), splits_folder)


@pytest.fixture(scope="module")
def pair(cluster):
    """A training by two workers that nothing disturbs."""
    workers = [cluster.start(number) for number in range(2)]
    outputs = [finished(one) for one in workers]
    record = json.loads((cluster.root / "run" / "training.json").read_text())
    return SimpleNamespace(outputs=outputs, record=record, curve=cluster.curve())


def test_one_record_holds_the_part_of_every_worker(pair):
    parts = pair.record["workers"]
    assert [part["worker"] for part in parts] == [0, 1]
    images = sum(epoch["images"] for epoch in pair.record["epochs"])
    assert sum(part["images"] for part in parts) == images
    for part in parts:
        assert [epoch["epoch"] for epoch in part["epochs"]] == [1, 2, 3]
        assert part["images_per_second"] > 0
        assert 0 <= part["wait_share"] < 1
        assert part["cpu_s"] > 0
        assert part["dropped"] == []
        assert part["machine"]["cores"] >= 1


def test_only_the_chief_writes_the_results(pair, cluster):
    assert {path.name for path in (cluster.root / "run-worker-1").iterdir()} == {"train.log"}
    assert (cluster.root / "run" / CHECKPOINT).exists()
    assert "the chief writes the model and the record" in pair.outputs[1][0]
    assert "Epoch 3/3: loss" in pair.outputs[1][1]
    assert "validation accuracy" not in pair.outputs[1][1]


def test_after_a_kill_in_mid_epoch_all_resume_to_the_same_curve(pair, cluster):
    often = ("--checkpoint-steps", 1)
    chief, other = (cluster.start(number, *often, out="killed", slow=True) for number in range(2))
    wait_for(chief, cluster, 8, "killed")
    other.send_signal(signal.SIGKILL)
    line = error_line(finished(chief, 1))
    finished(other, -signal.SIGKILL)
    assert "worker 1 (127.0.0.1:" in line
    assert "and the chief with: feedbench train" in line
    assert 8 <= cluster.step("killed") < 17
    resumed = [
        cluster.start(0, "--resume", "killed", recipe=False),
        cluster.start(1, out="killed"),
    ]
    for one in resumed:
        finished(one)
    for epoch, expected in zip(cluster.curve("killed"), pair.curve, strict=True):
        assert epoch == pytest.approx(expected, rel=1e-3)


def test_a_worker_that_is_asked_to_stop_has_the_chief_save_a_checkpoint(cluster):
    often = ("--checkpoint-steps", 1)
    chief, other = (cluster.start(number, *often, out="stopped", slow=True) for number in range(2))
    wait_for(chief, cluster, 2, "stopped")
    other.terminate()
    assert "Stopped; a checkpoint is saved" in finished(chief)[0]
    assert "the chief has saved a checkpoint" in error_line(finished(other))
    assert cluster.step("stopped") < 17


def test_a_worker_with_another_recipe_is_refused_before_it_trains(cluster):
    chief, other = cluster.start(0, out="refused"), cluster.start(1, "--epochs", 4, out="refused")
    for one in (chief, other):
        line = error_line(finished(one, 2))
        assert "worker 1" in line
        assert "recipe.toml: epochs is 4, not 3" in line
    assert not (cluster.root / "refused").exists()


def test_a_worker_does_not_resume(cluster):
    (cluster.root / "begun").mkdir()
    line = error_line(finished(cluster.start(1, "--resume", "begun", recipe=False), 2))
    assert "--resume: the chief resumes, and sends the others its checkpoint" in line
