"""Commands that are printed to be copied: the present one with other options."""

import shlex

import pytest

from feedbench.bench.commands.again import resume_command, with_consumer

SET = ("--set", "turbo.num_threads=1,2")
FOLDERS = [["--out", "old"], ["--out=old"], ["--resume", "older"], ["--resume=older"], []]


@pytest.mark.parametrize("given", FOLDERS, ids=str)
def test_the_command_to_resume_can_be_copied(given):
    arguments = ["tune", "my photos", *given, *SET]
    assert shlex.split(resume_command(arguments, "a folder")) == [
        *("feedbench", "tune", "--resume", "a folder", "my photos", *SET),
    ]


@pytest.mark.parametrize("given", FOLDERS, ids=str)
@pytest.mark.parametrize("consumer", [["--consumer", "drain"], ["--consumer=drain"], []], ids=str)
def test_the_command_with_another_consumer_writes_to_another_folder(given, consumer):
    arguments = ["bench", "my photos", *given, *consumer, *SET]
    assert shlex.split(with_consumer(arguments, "train")) == [
        *("feedbench", "bench", "my photos", *SET, "--consumer", "train"),
    ]
