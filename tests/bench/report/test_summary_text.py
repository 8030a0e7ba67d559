"""What was measured, in one sentence each."""

from feedbench.bench.analysis.summary import summarize
from feedbench.bench.plan.accelerators import accelerator_of
from feedbench.bench.report.summary_text import (
    consumer_notes,
    consumer_text,
    device_warnings,
    parts,
)
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


def test_the_line_above_is_short_and_what_is_assumed_of_an_accelerator_stands_below(trial, printed):
    a100 = accelerator_of("emulated:a100").model_dump()
    spec = {"batch_size": 64, "image_size": 96, "resize": "stretch", "interpolation": "nearest"}
    recipe = Recipe(alpha=0.35).model_dump(mode="json")
    made = trial("turbo", [100.0] * 3, consumer="emulated:a100", accelerator=a100)
    made = made.model_copy(update={"spec": spec, "recipe": recipe})
    text = printed(*parts([made], summarize([made])), width=100)
    first, *rest = text.splitlines()
    assert first.endswith("batch 64 → an emulated A100 40 GB, 6,773 images/s")
    spec["image_size"] = 224
    assert consumer_text(made.model_copy(update={"spec": spec})).endswith(", 1,244 images/s")
    below = " ".join(" ".join(rest).partition("turbo")[2].split())
    assert "A100 40 GB: 1,244 images/s at batch 512, 224 px, precision" in below
    assert "Assumed: MobileNetV2, alpha 0.35 is as fast as MobileNetV2, alpha 1" in below
    assert below.index("Assumed: MobileNetV2") < below.index("Assumed: step time")


def test_without_an_emulated_accelerator_nothing_is_assumed(trial):
    assert consumer_notes([trial("turbo", [1.0])]) == []
    assert consumer_notes([]) == []
