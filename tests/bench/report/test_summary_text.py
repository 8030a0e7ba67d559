"""What was measured, in one sentence each."""

from feedbench.bench.report.summary_text import consumer_text, device_warnings
from feedbench.trainer import Recipe


def test_a_trainer_on_the_cpu_beside_a_gpu_is_a_warning(trial):
    machine = {"processor": "p", "cores": 2, "gpus": ["NVIDIA X"]}
    on_cpu = trial("tf_data", [1.0], device="CPU", machine=machine)
    on_gpu = trial("tf_data", [1.0], device="NVIDIA X", machine=machine)
    unknown = trial("tf_data", [1.0], machine=machine)
    without_gpu = trial("tf_data", [1.0], device="CPU", machine={**machine, "gpus": []})
    assert device_warnings([on_gpu, unknown, without_gpu]) == []
    (line,) = device_warnings([on_cpu, on_cpu])
    assert "trained on the CPU, although there is an NVIDIA X" in line


def test_the_timed_phase_of_a_fine_tuning_is_named(trial):
    recipe = Recipe(weights="imagenet", epochs=10, frozen_epochs=2).model_dump(mode="json")
    timed = trial("tf_data", [1.0], device="CPU").model_copy(update={"recipe": recipe})
    assert consumer_text(timed).endswith("training all layers, as in 8 of 10 epochs")
    older = timed.model_copy(update={"device": None})
    assert "epochs" not in consumer_text(older)
