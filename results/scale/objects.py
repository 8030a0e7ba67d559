"""Time and memory of listing very many objects of a bucket.

    python results/scale/objects.py [OBJECTS CLASSES]

Needs feedbench[gs]. The server is that of the tests, on 127.0.0.1; it lists objects that have no
bytes, by the JSON API of Google Cloud Storage. Prints a line as `measure.py` does.
"""

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import suppress
from pathlib import Path

SERVER = Path(__file__).parents[2] / "tests" / "loaders" / "remote" / "gcs_server.py"
LIST = """
import sys
from feedbench.loaders import scan
listed = []
manifest = scan("gs://many", on_listed=listed.append)
size = manifest.table.nbytes / len(manifest)
print(f"{len(manifest):,} rows in {len(listed):,} pages, {size:.0f} B each in memory")
"""


def main(objects: int, classes: int) -> None:
    """Fill a server, list its objects in a process, and print what that took."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = subprocess.Popen([sys.executable, str(SERVER), str(port)])
    try:
        query = f"bucket=many&classes={classes}&images={objects // classes}"
        _ask(f"http://127.0.0.1:{port}/many?{query}")
        _list(objects, f"http://127.0.0.1:{port}")
    finally:
        server.kill()
        server.wait()


def _ask(url: str) -> None:
    for _ in range(100):
        with suppress(ConnectionError, urllib.error.URLError):
            urllib.request.urlopen(url, timeout=600).close()
            return
        time.sleep(0.1)
    raise TimeoutError("the server does not start")


def _list(objects: int, url: str) -> None:
    given = {"STORAGE_EMULATOR_HOST": url, "FSSPEC_GS_TOKEN": "anon"}
    begin = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-c", LIST], env={**os.environ, **given}, stdout=subprocess.PIPE, text=True
    )
    said = process.stdout.read().strip() if process.stdout else ""
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    seconds, cpu_s = time.perf_counter() - begin, used.ru_utime + used.ru_stime
    sys.stdout.write(
        f"| {objects:,} objects | list | {seconds:,.1f} | {cpu_s:,.1f} | "
        f"{used.ru_maxrss / 1e3:,.0f} | {said} |\n"
    )


if __name__ == "__main__":
    main(*(map(int, sys.argv[1:]) if sys.argv[1:] else (1_000_000, 1_000)))
