"""The count of bytes from object storage, which other processes read."""

import subprocess
import sys

import pytest

FILLED = """
mount -t tmpfs -o size=64k tmpfs /dev/shm && head -c 65536 /dev/zero > /dev/shm/other && exec "$@"
"""
COUNTS = """
import os, subprocess, sys
from feedbench.loaders.remote.fetched import count
count(5)
count(7)
ask = "import sys; from feedbench.loaders import fetched_bytes; print(fetched_bytes(%d))"
other = dict(os.environ, TMPDIR="/")
print(subprocess.check_output([sys.executable, "-c", ask % os.getpid()], env=other, text=True))
"""


@pytest.mark.spawned
def test_a_full_memory_for_files_costs_neither_images_nor_their_count():
    alone = ["unshare", "--mount", "--propagation", "private", "sh", "-ec"]
    if subprocess.run([*alone, FILLED, "sh", "true"], capture_output=True).returncode:
        pytest.skip("NOT TESTED HERE: mount namespaces are not permitted")
    done = subprocess.run(
        [*alone, FILLED, "sh", sys.executable, "-c", COUNTS],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout.strip(), done.returncode) == ("12", 0), done.stderr
