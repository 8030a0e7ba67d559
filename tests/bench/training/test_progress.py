"""Progress is a line per epoch, and on a terminal a bar with the latest metrics."""

import io

from rich.console import Console

from feedbench.bench.training import progress
from feedbench.bench.training.progress import train_progress
from feedbench.trainer.checkpoint import Position
from feedbench.trainer.fit import Step
from feedbench.trainer.history import Epoch

EPOCH = Epoch(
    epoch=2,
    images=400,
    train_s=2.0,
    wait_s=0.5,
    learning_rate=0.1,
    loss=1.25,
    accuracy=0.5,
    validation_loss=1.5,
    validation_accuracy=0.25,
)
LINE = (
    "Epoch 2/3: loss 1.250, accuracy 50.0%, validation accuracy 25.0%, 200 images/s, 25% of the "
    "time without a batch\n"
)


def test_a_pipe_gets_a_line_per_epoch_and_nothing_per_step():
    output = io.StringIO()
    console = Console(file=output, width=200)
    with train_progress(console, 1200, 3, lambda: True) as callbacks:
        callbacks.on_start(Position())
        callbacks.on_step(Step(8, 0.01, {}))
        callbacks.on_epoch(EPOCH)
    assert output.getvalue() == LINE
    assert callbacks.should_stop()


def test_a_terminal_also_shows_images_and_metrics(monkeypatch):
    monkeypatch.setattr(progress, "_WINDOW_S", 0.0)
    output = io.StringIO()
    console = Console(file=output, width=200, force_terminal=True, color_system=None)
    with train_progress(console, 1200, 3, lambda: False) as callbacks:
        callbacks.on_start(Position(images=400))
        callbacks.on_step(Step(8, 0.0, {"loss": 1.5, "accuracy": 0.75}))
        callbacks.on_epoch(EPOCH)
    text = output.getvalue()
    assert LINE.strip() in text
    assert "408/1200" in text
    assert "loss 1.500, accuracy 75.0%" in text
