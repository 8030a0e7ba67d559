"""Several devices: two logical ones of the CPU train as one does."""

import json
import subprocess
import sys
from typing import NamedTuple

import numpy as np
import pytest

from feedbench.trainer import (
    DevicesError,
    Recipe,
    RecipeError,
    Replicas,
    check_count,
    check_devices,
    check_divisible,
    device_count,
)

pytestmark = pytest.mark.beyond

# In a process of its own: TensorFlow divides its CPU only before it starts.
_TRAIN = """
import json
from typing import NamedTuple
import numpy as np
from feedbench.trainer import Recipe, Replicas, Trainer, find_replicas

class Labelled(NamedTuple):
    images: np.ndarray
    labels: np.ndarray

def colours(seed, size=8):
    random = np.random.default_rng(seed)
    labels = random.integers(0, 2, size).astype(np.int32)
    pixels = random.integers(0, 100, (size, 32, 32, 3)) + 100 * labels[:, None, None, None]
    return Labelled(pixels.astype(np.uint8), labels)

def made(replicas):
    recipe = Recipe(
        network="MobileNet", alpha=0.25, epochs=4, base_learning_rate=0.2, weight_decay=0.01,
        gradient_clip_norm=0.5, warm_up_epochs=0,
    )
    trainer = Trainer(
        recipe, image_size=32, batch_size=8, classes=2, images=24, scale=[1 / 255] * 3,
        offset=[0.0] * 3, image_dtype="uint8", class_weights=(1.0, 2.0), replicas=replicas,
    )
    for layer in trainer._network.layers:
        if hasattr(layer, "rate"):
            layer.rate = 0  # dropout draws other numbers on each device
    return trainer

def losses(trainer, seeds):
    values = []
    for seed in seeds:
        trainer.start_epoch()
        trainer.step(colours(seed))
        values.append(trainer.progress()["loss"])
    return values

def arrays(trainer):
    return [np.asarray(value) for value in trainer.capture()]

two = made(find_replicas("cpu:2"))
one = made(Replicas())
# Channels that are always 0 would be on the kink of ReLU, where rounding decides on a gradient.
random, start = np.random.default_rng(0), arrays(two)
for place, variable in enumerate(two.variables):
    if variable.path.endswith("/beta"):
        start[place] = random.normal(0, 0.5, variable.shape).astype(np.float32)
one.restore(0, 0, start)
two.restore(0, 0, start)
result = {"devices": two._replicas.devices}
result["start"] = [losses(one, range(4)), losses(two, range(4))]
ends = arrays(one), arrays(two)
result["weights"] = max(float(np.abs(a - b).max()) for a, b in zip(*ends) if a.dtype.kind == "f")
held_out = [colours(50), colours(51, 7), colours(52, 1)]
result["evaluation"] = [trainer.evaluate(held_out) for trainer in (one, two)]
result["single image"] = [trainer.evaluate(held_out[2:]) for trainer in (one, two)]
predicted = [list(trainer.probabilities(held_out)) for trainer in (one, two)]
result["predicted"] = [[values.tolist() for _, values in some] for some in predicted]
# Both go on from the checkpoint of each: rounding has set the checkpoints themselves apart.
result["resumed"] = []
for end in ends:
    one.restore(0, 4, end)
    two.restore(0, 4, end)
    result["resumed"].append([losses(one, range(4, 6)), losses(two, range(4, 6))])
try:
    two.step(colours(1, 7))
except Exception as error:
    result["indivisible"] = f"{type(error).__name__}: {error}"
print(json.dumps(result))
"""


@pytest.fixture(scope="module")
def trained():
    """What one device and two came to, from the same start, with the same batches."""
    command = [sys.executable, "-c", _TRAIN]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout)


def test_two_devices_follow_the_loss_curve_of_one(trained):
    assert trained["devices"] == ["CPU:0", "CPU:1"]
    one, two = trained["start"]
    assert two == pytest.approx(one, rel=2e-3)
    assert len({round(loss, 2) for loss in one}) > 2, "the curve moves"
    assert trained["weights"] < 2e-3, "statistics of batch normalization and momentum included"


def test_an_evaluation_on_two_devices_counts_each_image_once(trained):
    for name in ("evaluation", "single image"):
        one, two = trained[name]
        assert two == pytest.approx(one, rel=2e-3)


def test_two_devices_predict_what_one_does_in_the_same_order(trained):
    one, two = trained["predicted"]
    assert [len(batch) for batch in two] == [8, 7, 1]
    for ours, theirs in zip(two, one, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=2e-3)


def test_a_training_resumes_with_another_number_of_devices(trained):
    assert len(trained["resumed"]) == 2
    for one, two in trained["resumed"]:
        assert two == pytest.approx(one, rel=2e-3)


def test_a_step_of_a_batch_that_cannot_be_divided_is_refused(trained):
    words = "DevicesError: a batch of 7 images cannot be divided equally over 2 devices"
    assert trained["indivisible"].startswith(words)


@pytest.mark.parametrize(("text", "count"), [("1", 1), ("8", 8), ("cpu:2", 2)])
def test_devices_are_a_number_or_logical_ones_of_the_cpu(text, count):
    assert device_count(text) == count


@pytest.mark.parametrize("text", ["0", "-1", "two", "cpu:", "gpu:2", "all"])
def test_other_devices_are_refused(text):
    with pytest.raises(DevicesError, match="must be a number of GPUs, all, or cpu:N"):
        device_count(text)


@pytest.mark.parametrize(
    ("devices", "gpus", "words"),
    [
        ("2", 0, "--devices 2: there is no GPU here; use cpu:2"),
        ("2", 1, "--devices 2: there is 1 GPU here; use --devices 1 or all"),
        ("8", 4, "--devices 8: there are 4 GPUs here; use --devices 4 or all"),
    ],
)
def test_more_devices_than_there_are_are_refused(devices, gpus, words):
    with pytest.raises(DevicesError, match=words):
        check_count(devices, gpus)


def test_a_batch_must_be_divisible():
    message = r"over 4 devices; use --batch-size 188 or 192, or 2 devices"
    with pytest.raises(DevicesError, match=message):
        check_devices(4, 190, Recipe())


def test_a_batch_that_only_one_takes_whole_says_so():
    with pytest.raises(DevicesError, match="over 2 workers; use --batch-size 6 or 8, or 1 worker"):
        check_divisible(7, 2, "workers")


@pytest.mark.parametrize("values", [{"jit_compile": True}, {"network": "model.py:build"}])
def test_what_trains_on_one_device_alone_is_refused_on_several(values):
    check_devices(1, 8, Recipe(**values))
    with pytest.raises(RecipeError, match="leave out --devices"):
        check_devices(2, 8, Recipe(**values))


class Sync(NamedTuple):
    num_replicas_in_sync: int


def test_the_global_batch_is_that_of_all_processes():
    assert Replicas().global_batch(32) == 32
    of_two_processes = Replicas(("GPU:0", "GPU:1"), Sync(4))
    assert of_two_processes.global_batch(32) == 64
