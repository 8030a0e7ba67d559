"""What trains on the CPU says so before it starts, and names a command that does not."""

import shlex
import sys

import pytest
import typer

from feedbench.bench.cli import main
from feedbench.bench.commands import bench, diagnose, tune
from feedbench.bench.commands.devices import cpu_note
from feedbench.trainer import Recipe

SMALL = ("--batch-size", "8", "--image-size", "32")
SHORT = ("--blocks", "1", "--block-seconds", "0.1", "--warm-up-seconds", "0.1")


@pytest.fixture(autouse=True)
def _without_gpu(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")


def note(consumer="train", recipe=None, devices="1"):
    return cpu_note(consumer, recipe or Recipe(), devices, ["bench", "my photos", "--out", "old"])


def call(monkeypatch, *words):
    monkeypatch.setattr(sys, "argv", ["feedbench", *words])
    with pytest.raises(SystemExit) as ended:
        main()
    return ended.value.code or 0


def test_it_is_printed_before_the_bench_starts_and_its_command_runs(
    tiny_photos, tmp_path, monkeypatch, capsys
):
    def start(*_, **__):
        raise typer.Exit

    monkeypatch.chdir(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(bench, "measure_and_show", start)
        words = ("bench", str(tiny_photos), "--loader", "turbo", *SMALL, *SHORT, "--out", "first")
        assert call(monkeypatch, *words) == 0
    (line,) = capsys.readouterr().err.splitlines()[-1:]
    assert line.startswith("No NVIDIA GPU was found: MobileNetV2 is trained on the CPU")
    _, _, command = line.partition("To emulate a GPU instead: feedbench ")
    assert call(monkeypatch, *shlex.split(command)) == 0
    shown = capsys.readouterr()
    assert "an emulated A100" in shown.out
    assert "on the CPU" not in shown.err


@pytest.mark.parametrize(
    ("words", "module", "name"),
    [
        (("tune", "--loader", "turbo", "--budget", "1m"), tune, "run_tune"),
        (("diagnose", "--loader", "turbo"), diagnose, "run_diagnosis"),
    ],
    ids=["tune", "diagnose"],
)
def test_a_search_and_a_diagnosis_print_it_too(
    words, module, name, tiny_photos, tmp_path, monkeypatch, capsys
):
    def start(*_, **__):
        raise typer.Exit

    monkeypatch.setattr(module, name, start)
    for consumer in ("train", "emulated:a100"):
        out = str(tmp_path / consumer)
        command, *options = words
        assert (
            call(
                monkeypatch,
                command,
                str(tiny_photos),
                *options,
                *SMALL,
                "--out",
                out,
                "--consumer",
                consumer,
            )
            == 0
        )
        assert ("is trained on the CPU" in capsys.readouterr().err) is (consumer == "train")


def test_it_names_the_network_and_a_smaller_one_of_its_kind():
    assert "For a smaller network, add --alpha 0.35 --image-size 96." in note()
    assert note().endswith("instead: feedbench bench 'my photos' --consumer emulated:a100")
    own = note(recipe=Recipe(network="net.py:build"))
    assert "net.py:build is trained on the CPU" in own
    for text in (own, note(recipe=Recipe(alpha=0.35))):
        assert "--alpha" not in text


@pytest.mark.parametrize(
    "changes", [{"consumer": "drain"}, {"consumer": "emulated:a100"}, {"devices": "cpu:2"}], ids=str
)
def test_there_is_none_if_nothing_is_trained_or_the_cpu_was_asked_for(changes):
    assert note(**changes) == ""


def test_there_is_none_with_a_gpu(monkeypatch):
    monkeypatch.setattr("feedbench.bench.meters.gpu.find_gpus", lambda: [(0, None)])
    assert note() == ""
