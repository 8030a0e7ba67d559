"""A server of Google Cloud Storage's JSON API: what readers of objects call, and how to fill it.

`python gcs_server.py PORT` keeps everything in memory. Buckets that are made with a `token` refuse
requests without one (401) and with another (403). `PUT /fail?status=503&times=3` has the next
answers fail. `PUT /many?bucket=b&classes=1000&images=1000` makes a bucket whose objects are listed
but have no bytes.
"""

import json
import re
import sys
from bisect import bisect_left, bisect_right
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from typing import NamedTuple
from urllib.parse import parse_qsl, unquote, urlsplit

WRITTEN = "2026-02-03T04:05:06.789Z"
GENERATIONS = count(1_700_000_000_000_001)


class Object(NamedTuple):
    data: bytes
    generation: int


@dataclass
class Bucket:
    token: str | None = None
    objects: dict[str, Object] = field(default_factory=dict)
    names: list[str] = field(default_factory=list)  # sorted

    def put(self, name: str, data: bytes) -> Object:
        self.objects[name] = Object(data, next(GENERATIONS))
        self.names = sorted(self.objects)
        return self.objects[name]


class Refused(Exception):
    def __init__(self, status: int) -> None:
        self.status = status


BUCKETS: dict[str, Bucket] = {}
FAILURES: list[int] = []  # statuses of the next answers


def about(name: str, one: Object) -> dict[str, str]:
    return {
        "kind": "storage#object",
        "name": name,
        "size": str(len(one.data)),
        "updated": WRITTEN,
        "generation": str(one.generation),
    }


def listing(bucket: Bucket, query: dict[str, str]) -> dict[str, object]:
    """A page: objects and, with a delimiter, the folders among them, in the order of names."""
    prefix, delimiter = query.get("prefix", ""), query.get("delimiter")
    most, after = int(query.get("maxResults", "1000")), query.get("pageToken", "")
    items, folders, last = [], [], after
    place = max(bisect_left(bucket.names, prefix), bisect_right(bucket.names, after))
    while place < len(bucket.names):
        name = bucket.names[place]
        if not name.startswith(prefix):
            break
        place += 1
        if len(items) + len(folders) == most:
            return {"items": items, "prefixes": folders, "nextPageToken": last}
        rest, slash, _ = name[len(prefix) :].partition(delimiter) if delimiter else (name, "", "")
        if slash:
            folders.append(f"{prefix}{rest}{slash}")
            last = f"{prefix}{rest}{slash}\U0010ffff"
            place = bisect_right(bucket.names, last)
        else:
            items.append(about(name, bucket.objects[name]))
            last = name
    return {"kind": "storage#objects", "items": items, "prefixes": folders}


def span(header: str | None, size: int) -> tuple[int, int, int]:
    """Status, begin and end of a requested range."""
    if header is None:
        return 200, 0, size
    begin, end = map(int, re.fullmatch(r"bytes=(\d+)-(\d+)", header).groups())
    if begin >= size:
        raise Refused(416)
    return 206, begin, min(end + 1, size)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answered(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length) if length else b""
        parts = urlsplit(self.path)
        query = dict(parse_qsl(parts.query, keep_blank_values=True))
        try:
            self.send(*self.answer(parts.path, query, body))
        except Refused as refused:
            error = {"error": {"code": refused.status, "message": "refused"}}
            self.send(refused.status, json.dumps(error).encode())

    do_GET = do_POST = do_PUT = do_DELETE = answered

    def send(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def answer(self, path: str, query: dict[str, str], body: bytes) -> tuple[int, bytes]:
        if path == "/fail":
            FAILURES.extend([int(query["status"])] * int(query["times"]))
            return 200, b""
        if path == "/many":
            return self.many(query)
        if path == "/storage/v1/b" and self.command == "POST":
            made = json.loads(body)
            BUCKETS[made["name"]] = Bucket(made.get("token"))
            return 200, b"{}"
        found = re.fullmatch(r"(/upload)?/storage/v1/b/([^/]+)/o(?:/(.+))?", path)
        if found is None:
            raise Refused(400)
        if FAILURES:
            raise Refused(FAILURES.pop())
        bucket = self.bucket(unquote(found[2]))
        if found[1]:
            return 200, json.dumps(about(query["name"], bucket.put(query["name"], body))).encode()
        if found[3] is None:
            return 200, json.dumps(listing(bucket, query)).encode()
        return self.of_object(bucket, unquote(found[3]), query)

    def bucket(self, name: str) -> Bucket:
        bucket = BUCKETS.get(name)
        if bucket is None:
            raise Refused(404)
        given = self.headers.get("Authorization")
        if bucket.token is not None and given != f"Bearer {bucket.token}":
            raise Refused(403 if given else 401)
        return bucket

    def of_object(self, bucket: Bucket, name: str, query: dict[str, str]) -> tuple[int, bytes]:
        one = bucket.objects.get(name)
        if one is None:
            raise Refused(404)
        if self.command == "DELETE":
            del bucket.objects[name]
            bucket.names = sorted(bucket.objects)
            return 204, b""
        if query.get("ifGenerationMatch", str(one.generation)) != str(one.generation):
            raise Refused(412)
        if query.get("alt") != "media":
            return 200, json.dumps(about(name, one)).encode()
        status, begin, end = span(self.headers.get("Range"), len(one.data))
        return status, one.data[begin:end]

    def many(self, query: dict[str, str]) -> tuple[int, bytes]:
        classes, images = int(query["classes"]), int(query["images"])
        rows = ((label, image) for label in range(classes) for image in range(images))
        names = [f"{label:05}/{image:07}.jpg" for label, image in rows]
        one = Object(b"", next(GENERATIONS))
        BUCKETS[query["bucket"]] = Bucket(None, dict.fromkeys(names, one), names)
        return 200, b""

    def log_message(self, *_: object) -> None:
        """Print nothing."""


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128


if __name__ == "__main__":
    Server(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
