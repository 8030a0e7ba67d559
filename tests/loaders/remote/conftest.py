"""An S3 server on this machine, a proxy before it that disturbs answers, and photographs in it."""

import os
import socket
import socketserver
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

BUCKET = "photos"
KEY, SECRET = "AKIDEXAMPLE00", "wJalrXUtnFEMI-secret"
ROOT = Path(__file__).parents[3]
_BODY = b"<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"
_DENIED = (
    b"HTTP/1.1 403 Forbidden\r\nContent-Type: application/xml\r\nContent-Length: %d\r\n\r\n%b"
    % (
        len(_BODY),
        _BODY,
    )
)


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@dataclass
class Server:
    """moto's S3 server in a process of its own, which loses its objects when it ends."""

    port: int = field(default_factory=_free_port)
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        code = "import sys; from moto.server import main; main(sys.argv[1:])"
        self.process = subprocess.Popen(
            [sys.executable, "-c", code, "-H", "127.0.0.1", "-p", str(self.port)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            with suppress(OSError):
                urllib.request.urlopen(f"{self.url}/moto-api/data.json", timeout=2).close()
                return
            time.sleep(0.1)
        raise TimeoutError("moto's server does not start")

    def stop(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()


@dataclass
class Proxy:
    """Passes connections on to the server, late, cut or not at all.

    Attributes:
        delay_s: before each answer begins.
        cuts: answers of more than 2,000 bytes that are cut in the middle from now on.
        stalls: those that stop in the middle for longer than a client waits.
        denies: whether every request is answered by "access denied".
        is_down: whether connections are closed at once.
        requests: those that came, as their first lines.
    """

    target: int
    port: int = field(default_factory=_free_port)
    delay_s: float = 0.0
    cuts: int = 0
    stalls: int = 0
    denies: bool = False
    is_down: bool = False
    requests: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def pass_on(self, client: socket.socket) -> None:
        if self.is_down:
            return
        if self.denies:
            client.recv(65_536)
            client.sendall(_DENIED)
            return
        with socket.create_connection(("127.0.0.1", self.target)) as server:
            threading.Thread(target=self._ask, args=(client, server), daemon=True).start()
            while data := server.recv(65_536):
                time.sleep(self.delay_s)
                if len(data) > 2_000 and self.cuts:
                    self.cuts -= 1
                    client.sendall(data[: len(data) // 2])
                    return
                if len(data) > 2_000 and self.stalls:
                    self.stalls -= 1
                    client.sendall(data[: len(data) // 2])
                    time.sleep(3)
                    return
                client.sendall(data)

    def _ask(self, client: socket.socket, server: socket.socket) -> None:
        with suppress(OSError):
            while data := client.recv(65_536):
                self.requests.append(data.split(b"\r\n", 1)[0].decode("latin-1"))
                server.sendall(data)
            server.shutdown(socket.SHUT_WR)


class _Handler(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        with suppress(OSError):
            self.server.proxy.pass_on(self.request)
        with suppress(OSError):
            self.request.shutdown(socket.SHUT_RDWR)


class _Threads(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 128


@pytest.fixture(scope="session")
def s3_server() -> Iterator[Server]:
    pytest.importorskip("moto", reason="`make test-beyond` installs it")
    pytest.importorskip("s3fs", reason="`make test-beyond` installs it")
    server = Server()
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def _proxy(s3_server: Server) -> Iterator[Proxy]:
    proxy = Proxy(s3_server.port)
    with _Threads(("127.0.0.1", proxy.port), _Handler) as threads:
        threads.proxy = proxy
        threading.Thread(target=threads.serve_forever, daemon=True).start()
        yield proxy
        threads.shutdown()


@pytest.fixture
def proxy(_proxy: Proxy) -> Proxy:
    """Undisturbed."""
    _proxy.delay_s, _proxy.cuts, _proxy.stalls, _proxy.is_down = 0.0, 0, 0, False
    _proxy.denies = False
    _proxy.requests.clear()
    return _proxy


@pytest.fixture
def environment(proxy: Proxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The environment of a user with credentials, whose server is behind the proxy."""
    from feedbench.loaders.remote import store

    monkeypatch.setattr(store, "_stores", {})
    values = {
        "AWS_ACCESS_KEY_ID": KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": proxy.url,
        "AWS_EC2_METADATA_DISABLED": "true",
        "FEEDBENCH_CACHE": str(tmp_path / "cache"),
    }
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    return {**os.environ, "PYTHONPATH": str(ROOT)}


@pytest.fixture(scope="session")
def client(s3_server: Server):
    """botocore's client, which writes past the proxy."""
    import botocore.session

    return botocore.session.get_session().create_client(
        "s3",
        endpoint_url=s3_server.url,
        region_name="us-east-1",
        aws_access_key_id=KEY,
        aws_secret_access_key=SECRET,
    )


@pytest.fixture
def upload(client):
    """Writes a folder into a new bucket, and returns its address."""
    made = []

    def write(folder: Path, prefix: str = "data") -> str:
        bucket = f"{BUCKET}-{len(made)}-{time.monotonic_ns()}"
        client.create_bucket(Bucket=bucket)
        made.append(bucket)
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                key = f"{prefix}/{path.relative_to(folder)}"
                client.put_object(Bucket=bucket, Key=key, Body=path.read_bytes())
        return f"s3://{bucket}/{prefix}"

    return write
