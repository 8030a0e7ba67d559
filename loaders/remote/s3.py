"""S3 and servers that speak its protocol, through the connections of s3fs.

s3fs finds the credentials, the endpoint and the region as its documentation says; requests go
through its client, because its file system caches listings without a limit and reads whatever
version is there.
"""

from __future__ import annotations

import errno
from asyncio import timeout
from collections.abc import Callable, Iterator
from functools import cached_property
from typing import Any

from feedbench.loaders.address import Version
from feedbench.loaders.remote.calls import (
    ATTEMPTS,
    CONNECT_TIMEOUT_S,
    CONNECTIONS,
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

_CREDENTIALS = (
    "set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY; for a public bucket, "
    "FSSPEC_S3_ANON=true"
)
_REFUSED = f"the server refuses the credentials; {_CREDENTIALS}"
_ENDPOINTS = {  # by what a ValueError of botocore or aiohttp has
    "Invalid endpoint": "the endpoint is no URL; set AWS_ENDPOINT_URL to one such as "
    "https://HOST:PORT",
    "credentials encoded in URL": f"the endpoint must not hold credentials; {_CREDENTIALS}",
}
_NOT_SECURE = (
    "the server speaks no https, or its certificate is not trusted; check AWS_ENDPOINT_URL"
)
_ELSEWHERE = "the bucket is in another region; set AWS_DEFAULT_REGION"
_REFUSALS: dict[str, Callable[[], OSError]] = {
    **dict.fromkeys(("NoSuchKey", "404"), missing),
    **dict.fromkeys(("PreconditionFailed", "412"), changed),
    **dict.fromkeys(("InvalidRange", "416"), too_short),
    **dict.fromkeys(("AccessDenied", "AllAccessDisabled", "403"), denied),
    **dict.fromkeys(
        ("InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken"),
        lambda: OSError(errno.EACCES, _REFUSED),
    ),
    **dict.fromkeys(
        ("PermanentRedirect", "301", "AuthorizationHeaderMalformed"),
        lambda: OSError(errno.EIO, _ELSEWHERE),
    ),
    "NoSuchBucket": no_bucket,
}


class S3:
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
        request = {"Bucket": bucket, "Prefix": prefix}
        request |= {} if flat else {"Delimiter": "/"}
        while True:
            answer = self._call("list_objects_v2", request, is_cancelled)
            yield _page(answer, len(prefix))
            token = answer.get("NextContinuationToken")
            if not token:
                return
            if token == request.get("ContinuationToken"):
                raise repeated()
            request["ContinuationToken"] = token

    def version(self, bucket: str, key: str) -> Version | None:
        """The present version of an object; None if there is none."""
        try:
            answer = self._call("head_object", {"Bucket": bucket, "Key": key})
        except FileNotFoundError:
            return None
        return _version(answer, answer["ContentLength"])

    def read(
        self,
        bucket: str,
        key: str,
        version: Version | None,
        span: Span | None = None,
        is_cancelled: Callable[[], bool] = lambda: False,
    ) -> bytes:
        """The bytes of an object or a span of them, if it still is of this version."""
        request = {"Bucket": bucket, "Key": key}
        if version is not None:
            request["IfMatch"] = version.tag
        if span is not None:
            request["Range"] = range_header(span)

        async def body() -> bytes:
            answer = await self._answer("get_object", request)
            async with answer["Body"] as stream:
                _check_tag(answer, version)
                try:
                    async with timeout(longest_s(answer["ContentLength"])):
                        data: bytes = await stream.read()
                except Exception as error:
                    raise _Cut(error) from error
            if len(data) != answer["ContentLength"]:
                raise _Cut(None)
            return data

        whole: bytes = self._waited(retried(body, lambda error: not _is_cut(error)), is_cancelled)
        return checked(whole, span)

    def _call(
        self,
        method: str,
        request: dict[str, str],
        is_cancelled: Callable[[], bool] = lambda: False,
    ) -> Any:
        return self._waited(self._answer(method, request), is_cancelled)

    async def _answer(self, method: str, request: dict[str, str]) -> Any:
        """The answer to a request, whose body may not have come yet."""
        client = await self._files.set_session()
        try:
            async with timeout(longest_s(PAGE_BYTES)):
                return await getattr(client, method)(**request)
        except TimeoutError:  # sent byte by byte, it never is silent
            raise silent() from None

    def _waited(self, call: Any, is_cancelled: Callable[[], bool] = lambda: False) -> Any:
        try:
            return waited(call, self._files.loop, is_cancelled)
        except Exception as error:
            # Its text may have what must not be shown. Some errors of botocore are an OSError
            # too, without a number.
            raise _as_system_error(error) from None

    @cached_property
    def _files(self) -> Any:
        import fsspec.config
        import s3fs

        stated = fsspec.config.conf.get("s3", {}).get("config_kwargs", {})
        config = {
            "connect_timeout": CONNECT_TIMEOUT_S,
            "read_timeout": READ_TIMEOUT_S,
            "max_pool_connections": CONNECTIONS,
            # botocore's own: connections, silence, throttling and errors of the server.
            "retries": {"mode": "standard", "total_max_attempts": ATTEMPTS},
        }
        return s3fs.S3FileSystem(config_kwargs={**config, **stated}, skip_instance_cache=True)


def _check_tag(answer: Any, version: Version | None) -> None:
    """Check the version of an answer: not all servers that speak the protocol heed `IfMatch`."""
    tag = answer.get("ETag")
    if version is not None and tag and _bare(tag) != _bare(version.tag):
        raise changed()


def _bare(tag: str) -> str:
    return tag.removeprefix("W/").strip('"')


class _Cut(Exception):
    """The body of an answer ended too early."""

    def __init__(self, cause: Exception | None) -> None:
        super().__init__()
        self.cause = cause


def _is_cut(error: Exception) -> bool:
    return isinstance(error, _Cut)


def _page(answer: Any, prefix: int) -> Page:
    """A page of a listing; a name that ends with a slash only marks a folder."""
    objects = [
        Listed(one["Key"][prefix:], _version(one, one["Size"]))
        for one in answer.get("Contents", ())
        if not one["Key"].endswith("/")
    ]
    folders = [one["Prefix"][prefix:-1] for one in answer.get("CommonPrefixes", ())]
    return Page(objects, folders)


def _version(answer: Any, size: int) -> Version:
    # Whole seconds: a listing may state fractions that the answer for one object leaves out.
    return Version(int(size), int(answer["LastModified"].timestamp()) * 10**9, answer["ETag"])


def _as_system_error(error: Exception) -> OSError:
    """An error of botocore as one of the system, in our words: its own may hold an endpoint."""
    from botocore import exceptions as botocore

    if isinstance(error, OSError) and error.errno is not None:
        return error
    if isinstance(error, _Cut):
        return silent() if isinstance(error.cause, TimeoutError) else cut()
    for text, reason in _ENDPOINTS.items():
        if text in str(error):
            return OSError(errno.EINVAL, reason)
    if isinstance(error, botocore.ClientError):
        return _refusal(str(error.response.get("Error", {}).get("Code", "")))
    for kinds, known in (
        ((botocore.ReadTimeoutError,), silent()),
        ((botocore.SSLError,), OSError(errno.EPROTO, _NOT_SECURE)),
        ((botocore.HTTPClientError, botocore.ConnectionError), unreachable()),
        (
            (botocore.NoCredentialsError, botocore.PartialCredentialsError),
            PermissionError(errno.EACCES, f"no credentials were found; {_CREDENTIALS}"),
        ),
        (
            (botocore.ProfileNotFound,),
            PermissionError(errno.EACCES, "AWS_PROFILE names no profile in the files of AWS"),
        ),
        (
            (botocore.ParamValidationError,),
            OSError(errno.EINVAL, "no bucket or object can have this name"),
        ),
    ):
        if isinstance(error, kinds):
            return known
    return OSError(errno.EIO, f"the client for S3 failed ({type(error).__name__})")


def _refusal(code: str) -> OSError:
    """The error for a server's code."""
    known = _REFUSALS.get(code)
    return known() if known else OSError(errno.EIO, f"the server answered {code or 'an error'}")
