"""A child process that misbehaves as its job says; test_child.py runs it as a module."""

import ctypes
import os
import signal
import sys
import tempfile
import time
from typing import Literal

from feedbench.bench.errors import PlanError
from feedbench.bench.trials.protocol import Message
from feedbench.bench.trials.serve import Channel, serve


class UnrulyJob(Message):
    act: Literal[
        "answer",
        "abort",
        "exit",
        "hang",
        "kill",
        "print",
        "garbage",
        "refuse",
        "raise",
        "fork",
        "litter",
    ]
    text: str = ""


class Question(Message):
    number: int


class Reply(Message):
    text: str
    number: float = 0


class Sign(Message):
    pid: int


def behave(job: UnrulyJob, channel: Channel) -> None:
    {
        "abort": os.abort,
        "exit": lambda: sys.exit(3),
        "hang": lambda: time.sleep(600),
        "kill": lambda: os.kill(os.getpid(), signal.SIGKILL),
        "print": print_from_c,
        "garbage": lambda: channel.answers.write("no JSON\n"),
        "refuse": refuse,
        "raise": lambda: [][1],
        "fork": lambda: fork(channel),
        "litter": litter,
        "answer": lambda: None,
    }[job.act]()
    channel.answer(Reply(text=job.text))
    for question in channel.requests(Question):
        channel.answer(Reply(text=job.text, number=question.number))


def print_from_c() -> None:
    libc = ctypes.CDLL(None)
    libc.puts(b"printed from C")
    libc.fflush(None)
    sys.stdout.write("printed from Python\n")
    sys.stdout.flush()


def refuse() -> None:
    raise PlanError("epochs: must be at least 1, got 0")


def litter() -> None:
    tempfile.mkstemp()
    os.kill(os.getpid(), signal.SIGKILL)


def fork(channel: Channel) -> None:
    pid = os.fork()
    if not pid:
        time.sleep(600)
    channel.answer(Sign(pid=pid))
    os.abort()


if __name__ == "__main__":
    serve(UnrulyJob, behave)
