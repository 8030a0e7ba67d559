"""Progress is a line per epoch, and on a terminal what happens meanwhile."""

import io

import pytest

from feedbench.bench.analysis.estimate import Estimate
from feedbench.bench.report.terminal import Terminal
from feedbench.bench.training import progress
from feedbench.bench.training.progress import train_progress
from feedbench.trainer.checkpoint import Position
from feedbench.trainer.history import Epoch
from feedbench.trainer.loop import Step

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
    "time without a batch"
)
PREDICTED = Estimate(value=210, low=200, high=220)


def test_a_pipe_gets_a_line_per_epoch_and_nothing_per_step():
    output = io.StringIO()
    with train_progress(
        Terminal(file=output, width=200), 400, 3, lambda: True, lambda position: None
    ) as callbacks:
        callbacks.on_start(Position())
        callbacks.on_step(Step(8, 0.01, {}))
        callbacks.on_epoch(EPOCH)
    assert output.getvalue().startswith(f"{LINE}, about ")
    assert output.getvalue().endswith(" left\n")
    assert callbacks.should_stop()


def test_a_line_names_the_predicted_rate():
    output = io.StringIO()
    with train_progress(
        Terminal(file=output, width=200), 400, 2, lambda: True, lambda position: PREDICTED
    ) as callbacks:
        callbacks.on_start(Position())
        callbacks.on_epoch(EPOCH)
    assert ", 200 images/s (predicted 210), 25%" in output.getvalue()
    assert "left" not in output.getvalue()


@pytest.mark.parametrize(("columns", "rows"), [(80, 24), (40, 10)])
def test_a_terminal_also_shows_what_happens_now(open_terminal, monkeypatch, columns, rows):
    monkeypatch.setattr(progress, "_WINDOW_S", 0.0)
    terminal = open_terminal(columns, rows)
    with train_progress(
        terminal.console(), 400, 3, lambda: False, lambda position: PREDICTED
    ) as callbacks:
        callbacks.on_start(Position(images=400))
        callbacks.on_step(Step(8, 0.0, {"loss": 1.5, "accuracy": 0.75}))
        screen = terminal.wait_for("loss 1.500, accuracy 75.0%")
        callbacks.on_epoch(EPOCH)
        terminal.wait_for("Epoch 3 of 3")
    terminal.close()
    assert screen.lines[0].startswith("Epoch 2 of 3 · 8 of 400 images")
    assert ("next  validation, then epoch 3" in screen.lines) is (rows == 24)
    assert "predicted 2" in screen.lines[-4]
    assert screen.lines[-3].startswith("wait  0% ▁")
    assert max(map(len, screen.lines)) < columns
    text = " ".join(line.strip() for line in terminal.screen().lines)
    assert text.startswith(LINE.replace("images/s", "images/s (predicted 210)"))


def test_a_complete_epoch_is_validated(open_terminal):
    terminal = open_terminal(80, 24)
    with train_progress(
        terminal.console(), 8, 1, lambda: False, lambda position: None
    ) as callbacks:
        callbacks.on_start(Position())
        callbacks.on_step(Step(8, 0.0, {}))
        screen = terminal.wait_for("validating")
    assert "8 of 8 images" in screen.lines[0]
    assert screen.lines[2] == "next  the results"


def test_after_the_last_epoch_the_model_is_tested(open_terminal):
    terminal = open_terminal(80, 24)
    with train_progress(
        terminal.console(), 400, 2, lambda: False, lambda position: None
    ) as callbacks:
        callbacks.on_start(Position())
        callbacks.on_epoch(EPOCH)
        screen = terminal.wait_for("now   testing and saving the model")
    assert "next  the results" in screen.lines
