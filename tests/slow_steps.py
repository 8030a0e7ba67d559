"""The command line as a program, with training steps long enough that a test misses none."""

SLOW = """
import time
from feedbench.bench.cli import main
from feedbench.trainer.loop import _Run

step = _Run._step
def slow(run):
    time.sleep(0.3)
    step(run)
_Run._step = slow
main()
"""
