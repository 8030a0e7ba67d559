"""Servers of S3 and Google Cloud Storage on this machine, and a proxy that disturbs answers."""

import json
import os
import re
import socket
import socketserver
import subprocess
import sys
import threading
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

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


_MOTO = "import sys; from moto.server import main; main(['-H', '127.0.0.1', '-p', sys.argv[1]])"


@dataclass
class Server:
    """A server in a process of its own, which loses its objects when it ends.

    Attributes:
        command: of Python, without the port.
        path: that it answers once it has started.
    """

    command: tuple[str, ...]
    path: str
    port: int = field(default_factory=_free_port)
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, *self.command, str(self.port)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            with suppress(OSError):
                urllib.request.urlopen(f"{self.url}{self.path}", timeout=2).close()
                return
            time.sleep(0.1)
        raise TimeoutError(f"{self.command}: the server does not start")

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
        trickles: those of which a byte comes now and then from the middle on.
        denies: whether every request is answered by "access denied".
        hides: name of a header of requests that the server does not get.
        is_down: whether connections are closed at once.
        requests: those that came, as their first lines.
    """

    target: int
    port: int = field(default_factory=_free_port)
    delay_s: float = 0.0
    cuts: int = 0
    stalls: int = 0
    trickles: int = 0
    denies: bool = False
    hides: str = ""
    is_down: bool = False
    requests: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def calmed(self) -> Self:
        """The same proxy, which disturbs nothing any more."""
        self.delay_s, self.cuts, self.stalls, self.trickles = 0.0, 0, 0, 0
        self.is_down, self.denies, self.hides = False, False, ""
        self.requests.clear()
        return self

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
                if len(data) > 2_000 and self.trickles:
                    self.trickles -= 1
                    client.sendall(data[: len(data) // 2])
                    for byte in data[len(data) // 2 :][:100]:
                        time.sleep(0.2)
                        client.sendall(bytes([byte]))
                    return
                client.sendall(data)

    def _ask(self, client: socket.socket, server: socket.socket) -> None:
        with suppress(OSError):
            while data := client.recv(65_536):
                self.requests.append(data.split(b"\r\n", 1)[0].decode("latin-1"))
                if self.hides:
                    data = re.sub(rb"(?i)\r\n%b: [^\r]*" % self.hides.encode(), b"", data)
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
    with _running(Server(("-c", _MOTO), "/moto-api/data.json")) as server:
        yield server


@pytest.fixture(scope="session")
def gcs_server() -> Iterator[Server]:
    pytest.importorskip("gcsfs", reason="`make test-beyond` installs it")
    own = str(Path(__file__).with_name("gcs_server.py"))
    with _running(Server((own,), "/many?bucket=none&classes=0&images=0")) as server:
        yield server


@contextmanager
def _running(server: Server) -> Iterator[Server]:
    server.start()
    try:
        yield server
    finally:
        server.stop()


@contextmanager
def _before(server: Server) -> Iterator[Proxy]:
    proxy = Proxy(server.port)
    with _Threads(("127.0.0.1", proxy.port), _Handler) as threads:
        threads.proxy = proxy
        threading.Thread(target=threads.serve_forever, daemon=True).start()
        yield proxy
        threads.shutdown()


@pytest.fixture(scope="session")
def _s3_proxy(s3_server: Server) -> Iterator[Proxy]:
    with _before(s3_server) as proxy:
        yield proxy


@pytest.fixture(scope="session")
def _gcs_proxy(gcs_server: Server) -> Iterator[Proxy]:
    with _before(gcs_server) as proxy:
        yield proxy


@pytest.fixture
def proxy(_s3_proxy: Proxy) -> Proxy:
    """Before S3, undisturbed."""
    return _s3_proxy.calmed()


@pytest.fixture
def gcs_proxy(_gcs_proxy: Proxy) -> Proxy:
    """Before Google Cloud Storage, undisturbed."""
    return _gcs_proxy.calmed()


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

    def write(folder: Path, prefix: str = "data") -> str:
        bucket = f"{BUCKET}-{time.monotonic_ns()}"
        client.create_bucket(Bucket=bucket)
        for name, data in _files_in(folder):
            client.put_object(Bucket=bucket, Key=f"{prefix}/{name}", Body=data)
        return f"s3://{bucket}/{prefix}"

    return write


def _files_in(folder: Path) -> Iterator[tuple[str, bytes]]:
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            yield str(path.relative_to(folder)), path.read_bytes()


@dataclass
class Google:
    """Fills the server of Google Cloud Storage, past the proxy."""

    server: Server

    def ask(self, method: str, path: str, data: bytes = b"", token: str | None = None) -> None:
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        request = urllib.request.Request(f"{self.server.url}{path}", data, headers, method=method)
        urllib.request.urlopen(request, timeout=10).close()

    def bucket(self, token: str | None = None) -> str:
        """A new bucket, which only those with a token may read."""
        name = f"{BUCKET}-{time.monotonic_ns()}"
        self.ask("POST", "/storage/v1/b", json.dumps({"name": name, "token": token}).encode())
        return name

    def put(self, bucket: str, name: str, data: bytes, token: str | None = None) -> None:
        query = urllib.parse.urlencode({"uploadType": "media", "name": name})
        self.ask("POST", f"/upload/storage/v1/b/{bucket}/o?{query}", data, token)

    def delete(self, bucket: str, name: str) -> None:
        self.ask("DELETE", f"/storage/v1/b/{bucket}/o/{urllib.parse.quote(name, safe='')}")

    def upload(self, folder: Path, prefix: str = "data", token: str | None = None) -> str:
        """Write a folder into a new bucket, and return its address."""
        bucket = self.bucket(token)
        for name, data in _files_in(folder):
            self.put(bucket, f"{prefix}/{name}", data, token)
        return f"gs://{bucket}/{prefix}"


@pytest.fixture
def google(gcs_server: Server) -> Google:
    return Google(gcs_server)


@pytest.fixture
def gcs_environment(
    gcs_proxy: Proxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> dict[str, str]:
    """The environment of a user without credentials, whose server is behind the proxy."""
    import fsspec.config

    from feedbench.loaders.remote import store

    monkeypatch.setattr(store, "_stores", {})
    monkeypatch.setitem(fsspec.config.conf, "gs", {"token": "anon"})  # read when it is imported
    values = {
        "FSSPEC_GS_TOKEN": "anon",
        "STORAGE_EMULATOR_HOST": gcs_proxy.url,
        "FEEDBENCH_CACHE": str(tmp_path / "cache"),
    }
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    return {**os.environ, "PYTHONPATH": str(ROOT)}
