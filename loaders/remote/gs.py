"""Google Cloud Storage, through the connections of gcsfs."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator
from datetime import datetime
from functools import cached_property
from typing import Any

from feedbench.loaders.address import Version
from feedbench.loaders.remote.calls import READ_TIMEOUT_S, cut, retried, silent, unreachable, waited
from feedbench.loaders.remote.store import Listed, Page, Span, changed, missing

_PAGE = 1000  # objects
_CREDENTIALS = (
    "run gcloud auth application-default login, or set GOOGLE_APPLICATION_CREDENTIALS; for a "
    "public bucket, FSSPEC_GS_TOKEN=anon"
)


class GoogleStorage:
    """The objects that these credentials can read."""

    def pages(self, bucket: str, prefix: str, *, flat: bool) -> Iterator[Page]:
        """The objects that begin with a prefix, those behind another slash only with `flat`."""
        request: dict[str, Any] = {"prefix": prefix, "maxResults": _PAGE}
        request |= {} if flat else {"delimiter": "/"}
        while True:
            answer = self._json("b/{}/o", bucket, **request)
            yield _page(answer, len(prefix))
            if not answer.get("nextPageToken"):
                return
            request["pageToken"] = answer["nextPageToken"]

    def version(self, bucket: str, key: str) -> Version | None:
        """The present version of an object; None if there is none."""
        try:
            return _version(self._json("b/{}/o/{}", bucket, key))
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
        if span is not None:
            request["headers"] = {"Range": f"bytes={span[0]}-{span[0] + span[1] - 1}"}

        async def body() -> bytes:
            _, data = await self._files._call("GET", "b/{}/o/{}", bucket, key, **request)
            return bytes(data)

        whole: bytes = self._waited(retried(body, _is_final), is_cancelled)
        return whole

    def _json(self, path: str, *names: str, **request: Any) -> Any:
        async def call() -> Any:
            return await self._files._call("GET", path, *names, json_out=True, **request)

        return self._waited(retried(call, _is_final))

    def _waited(self, call: Any, is_cancelled: Callable[[], bool] = lambda: False) -> Any:
        try:
            return waited(call, self._files.loop, is_cancelled)
        except Exception as error:
            raise _as_system_error(error) from None  # its text may have what must not be shown

    @cached_property
    def _files(self) -> Any:
        import aiohttp
        import gcsfs

        timeout = aiohttp.ClientTimeout(total=None, sock_read=READ_TIMEOUT_S)
        return gcsfs.GCSFileSystem(
            session_kwargs={"timeout": timeout}, timeout=None, skip_instance_cache=True
        )


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
    """Gcsfs itself tries again where a server answers with an error that may pass."""
    import aiohttp

    return not isinstance(error, TimeoutError | aiohttp.ClientPayloadError)


def _as_system_error(error: Exception) -> OSError:
    """An error of gcsfs as one of the system, in our words."""
    import aiohttp
    from google.auth.exceptions import GoogleAuthError

    no_credentials = OSError(errno.EACCES, f"no valid credentials were found; {_CREDENTIALS}")
    known: tuple[tuple[type[Exception], OSError], ...] = (
        (FileNotFoundError, missing()),
        (FileExistsError, changed()),  # gcsfs' error for a condition that does not hold
        (TimeoutError, silent()),
        (aiohttp.ClientPayloadError, cut()),
        (aiohttp.ClientError, unreachable()),
        (GoogleAuthError, no_credentials),
    )
    code = getattr(error, "code", None)
    if isinstance(error, OSError) and error.errno == errno.ECANCELED:
        return error
    if code in (401, 403) or "Forbidden" in str(error):
        return OSError(errno.EACCES, f"access denied; {_CREDENTIALS}")
    found = next((one for kind, one in known if isinstance(error, kind)), None)
    return found or OSError(errno.EIO, f"the server answered {code or 'with an error'}")
