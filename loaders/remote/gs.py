"""Google Cloud Storage, through the connections of gcsfs.

gcsfs finds the credentials and the endpoint as its documentation says. Requests go through its
session, not through its file system, which tries again by rules of its own, for minutes.
"""

from __future__ import annotations

import errno
import json
import logging
from asyncio import get_running_loop, timeout
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from functools import cached_property
from typing import Any

from feedbench.loaders.address import Version
from feedbench.loaders.remote.calls import (
    CONNECT_TIMEOUT_S,
    PAGE_BYTES,
    READ_TIMEOUT_S,
    cut,
    longest_s,
    retried,
    silent,
    unreachable,
    waited,
)
from feedbench.loaders.remote.store import (
    Listed,
    Page,
    Span,
    changed,
    checked,
    denied,
    missing,
    no_bucket,
    range_header,
    repeated,
    too_short,
)

_PAGE = 1000  # objects
_MAY_PASS = frozenset({408, 429, 500, 502, 503, 504})  # statuses that may be others next time
_CREDENTIALS = (
    "run gcloud auth application-default login, or set GOOGLE_APPLICATION_CREDENTIALS; for a "
    "public bucket, FSSPEC_GS_TOKEN=anon"
)
_REFUSALS: dict[int, Callable[[], OSError]] = {
    401: lambda: OSError(errno.EACCES, f"the server refuses the credentials; {_CREDENTIALS}"),
    403: denied,
    404: missing,
    412: changed,
    416: too_short,
}


class GoogleStorage:
    """The objects that these credentials can read."""

    def pages(
        self,
        bucket: str,
        prefix: str,
        *,
        flat: bool,
        is_cancelled: Callable[[], bool] = lambda: False,
    ) -> Iterator[Page]:
        """The objects that begin with a prefix, those behind another slash only with `flat`."""
        request: dict[str, Any] = {"prefix": prefix, "maxResults": _PAGE}
        request |= {} if flat else {"delimiter": "/"}
        while True:
            try:
                answer = self._read("b/{}/o", bucket, is_cancelled=is_cancelled, **request)
            except FileNotFoundError:
                raise no_bucket() from None
            page = json.loads(answer)
            yield _page(page, len(prefix))
            token = page.get("nextPageToken")
            if not token:
                return
            if token == request.get("pageToken"):
                raise repeated()
            request["pageToken"] = token

    def version(self, bucket: str, key: str) -> Version | None:
        """The present version of an object; None if there is none."""
        try:
            return _version(json.loads(self._read("b/{}/o/{}", bucket, key)))
        except FileNotFoundError:
            return None

    def read(
        self,
        bucket: str,
        key: str,
        version: Version | None,
        span: Span | None = None,
        is_cancelled: Callable[[], bool] = lambda: False,
    ) -> bytes:
        """The bytes of an object or a span of them, if it still is of this version."""
        request: dict[str, Any] = {"alt": "media"}
        if version is not None:
            request["ifGenerationMatch"] = version.tag
        headers = {} if span is None else {"Range": range_header(span)}
        data = self._read(
            "b/{}/o/{}", bucket, key, headers=headers, is_cancelled=is_cancelled, **request
        )
        return checked(data, span)

    def _read(
        self,
        path: str,
        *names: str,
        headers: dict[str, str] | None = None,
        is_cancelled: Callable[[], bool] = lambda: False,
        **parameters: Any,
    ) -> bytes:
        """The body of an answer of the JSON API."""

        async def body() -> bytes:
            files = self._files
            await files._set_session()
            request = files.session.get(
                files._format_path(path, names),
                params=files._get_params(parameters),
                headers=_with_credentials(files, headers),
            )
            async with timeout(longest_s(PAGE_BYTES)) as limit, request as answer:
                if answer.status >= 400:
                    raise _Refused(answer.status)
                length = PAGE_BYTES if answer.content_length is None else answer.content_length
                limit.reschedule(get_running_loop().time() + longest_s(length))
                return bytes(await answer.read())

        try:
            loop = self._files.loop  # first: a coroutine that is not awaited warns
            data: bytes = waited(retried(body, _is_final), loop, is_cancelled)
        except Exception as error:
            raise _as_system_error(error) from None  # its text may have what must not be shown
        return data

    @cached_property
    def _files(self) -> Any:
        import aiohttp
        from gcsfs.core import GCSFileSystem

        logging.getLogger("gcsfs").addHandler(logging.NullHandler())  # it logs errors as tracebacks
        timeouts = aiohttp.ClientTimeout(
            total=None, sock_connect=CONNECT_TIMEOUT_S, sock_read=READ_TIMEOUT_S
        )
        with _credentials_needed():
            return GCSFileSystem(
                session_kwargs={"timeout": timeouts}, timeout=None, skip_instance_cache=True
            )


@contextmanager
def _credentials_needed() -> Iterator[None]:
    """Of what fails inside, the credentials are the cause: gcsfs states that in many ways."""
    try:
        yield
    except Exception as error:
        raise _NoCredentials from error


def _with_credentials(files: Any, headers: dict[str, str] | None) -> Any:
    with _credentials_needed():
        return files._get_headers(headers)


class _NoCredentials(Exception):
    """There are none, they are not valid, or they could not be renewed."""


class _Refused(Exception):
    """The server answered with an error."""

    def __init__(self, status: int) -> None:
        super().__init__()
        self.status = status


def _page(answer: Any, prefix: int) -> Page:
    """A page of a listing; a name that ends with a slash only marks a folder."""
    objects = [
        Listed(one["name"][prefix:], _version(one))
        for one in answer.get("items", ())
        if not one["name"].endswith("/")
    ]
    return Page(objects, [name[prefix:-1] for name in answer.get("prefixes", ())])


def _version(about: Any) -> Version:
    written = datetime.fromisoformat(about["updated"])
    return Version(int(about["size"]), int(written.timestamp()) * 10**9, str(about["generation"]))


def _is_final(error: Exception) -> bool:
    """Whether an error would only come again."""
    import aiohttp

    if isinstance(error, _Refused):
        return error.status not in _MAY_PASS
    return not isinstance(error, TimeoutError | aiohttp.ClientError)


def _as_system_error(error: Exception) -> OSError:
    """An error of a request as one of the system, in our words."""
    import aiohttp

    if isinstance(error, _Refused):
        return _refusal(error.status)
    if isinstance(error, OSError) and error.errno == errno.ECANCELED:
        return error
    for kinds, known in (
        ((aiohttp.ClientConnectionResetError, aiohttp.ServerDisconnectedError), cut()),
        ((aiohttp.ClientPayloadError,), cut()),
        ((aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError), unreachable()),
        ((TimeoutError,), silent()),
        ((aiohttp.ClientError,), unreachable()),
        (
            (_NoCredentials,),
            PermissionError(errno.EACCES, f"no valid credentials were found; {_CREDENTIALS}"),
        ),
    ):
        if isinstance(error, kinds):
            return known
    return OSError(errno.EIO, f"the client for Google Cloud failed ({type(error).__name__})")


def _refusal(status: int) -> OSError:
    """The error for an HTTP status."""
    known = _REFUSALS.get(status)
    return known() if known else OSError(errno.EIO, f"the server answered with status {status}")
