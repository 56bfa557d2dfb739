"""Retries of requests that may succeed the next time, and recognition of errors that won't pass."""

from __future__ import annotations

import random
import re
import time
from collections.abc import Callable
from typing import TypeVar

from obstore.exceptions import (
    AlreadyExistsError,
    BaseError,
    NotSupportedError,
    PermissionDeniedError,
    PreconditionError,
    UnauthenticatedError,
)

from pipeline.errors import CredentialsError
from pipeline.storage.http_answers import UnusableAnswerError
from pipeline.storage.urls import STORES, hidden, scheme_of

T = TypeVar("T")
_PAGES_TRIED = 3
"""How often to request a file whose answer is a page: most servers won't change their answer."""
_FIRST_PAUSE = 0.1
_LONGEST_PAUSE = 10.0
_STATUS = re.compile(r"status code: (\d{3})|Client error with status (\d{3})")
_UNSATISFIABLE = 416
_NOT_IMPLEMENTED = 501
_MAY_PASS = frozenset({408, 425, 429})
_DETAIL = re.compile(r"<Code>(\w+)</Code>\s*(?:<Message>([^<]*)</Message>)?")
_CERTIFICATE = re.compile(r"InvalidCertificate\(\s*(\w+)")
_CREDENTIALS = re.compile(
    "<Code>(ExpiredToken|ExpiredTokenException|TokenRefreshRequired|InvalidToken|InvalidAccessKeyId|InvalidClientTokenId"
    "|SignatureDoesNotMatch|RequestTimeTooSkewed|AuthenticationFailed|InvalidAuthenticationInfo|RequestExpired)</Code>"
)
"""Codes with which S3 and Azure refuse credentials altogether; other refusals concern a single object."""
_LONGEST_TEXT = 300


class RangesNotServedError(OSError):
    """The server sends only whole objects."""


class CutAnswerError(OSError):
    """The server sent a different number of bytes than it announced."""


def retry(request: Callable[[], T], retries: int, name: str) -> T:
    """Return the result of `request`, retried after errors that may pass: 5xx, 429, resets, cut bodies, timeouts.

    Pauses grow from 0.1 to 10 seconds, with a random part, so that workers don't all come back at the same moment.

    Raises
    ------
    FileNotFoundError, PermissionError, FileExistsError, RangesNotServedError
        Without a retry.
    CredentialsError
        Without a retry, if an object store refuses the credentials for every object.
    OSError
        Without a retry for errors that don't pass, else after the last try; the message counts the tries.
    """
    for attempt in range(retries + 1):
        try:
            return request()
        except UnusableAnswerError:
            if attempt == min(retries, _PAGES_TRIED - 1):
                raise
        except (BaseError, FileNotFoundError, CutAnswerError, ConnectionError, TimeoutError) as error:
            final = _permanent(error, name)
            if final is not None:
                raise final from error
            if attempt == retries:
                raise OSError(f"{name}: {describe_error(error)} (tried {attempt + 1} times)") from error
        time.sleep(min(_FIRST_PAUSE * 2**attempt, _LONGEST_PAUSE) * random.uniform(0.5, 1.0))  # noqa: S311
    raise AssertionError("unreachable")


_TRANSLATED: tuple[tuple[type[Exception], type[OSError]], ...] = (
    (FileNotFoundError, FileNotFoundError),
    (AlreadyExistsError, FileExistsError),
    (PreconditionError, FileExistsError),
    (PermissionDeniedError, PermissionError),
    (UnauthenticatedError, PermissionError),
    (NotSupportedError, RangesNotServedError),
)


def _permanent(error: Exception, name: str) -> OSError | CredentialsError | None:
    """Return the error to raise for an error that won't pass; None for one that may pass."""
    if scheme_of(name) in STORES and (_CREDENTIALS.search(str(error)) or isinstance(error, UnauthenticatedError)):
        return CredentialsError(
            f"{name}: the store refuses the credentials ({describe_error(error)}): renew them, and give the same command again",
            source=name,
        )
    for kind, translated in _TRANSLATED:
        if isinstance(error, kind):
            return translated(f"{name}: {describe_error(error)}")
    status = status_of(error)
    if (400 <= status < 500 and status not in _MAY_PASS) or status == _NOT_IMPLEMENTED:  # noqa: PLR2004  HTTP's client errors
        return OSError(f"{name}: {describe_error(error)}")
    return _server_error(error, name)


def _server_error(error: Exception, name: str) -> OSError | None:
    """Return the error to raise for an unusable server or address; None for other errors."""
    if certificate := _CERTIFICATE.search(str(error)):
        return OSError(
            f"{name}: the server's certificate isn't trusted ({certificate[1]}); for your own certificate authority, set the "
            "environment variable SSL_CERT_FILE to the file with its certificates, on workers too"
        )
    if "Content-Length Header missing" in str(error):
        return OSError(f"{name}: the server doesn't send the file's length (Content-Length)")
    if "builder error" in str(error):  # the address is wrong, or uses plain HTTP without permission
        return OSError(f"{name}: the address can't be used; plain HTTP needs storage.allow_http: true")
    return None


def status_of(error: BaseException) -> int:
    """Return the HTTP status in an error's text; 0 if the text has none."""
    found = _STATUS.search(str(error))
    return int(found[1] or found[2]) if found else 0


def is_behind_the_end(error: Exception) -> bool:
    """Return whether the requested range begins at or after the object's end."""
    return status_of(error) == _UNSATISFIABLE or "Wanted range starting at" in str(
        error
    )  # Azure sends 206 all the same


def describe_error(error: Exception) -> str:
    """Describe an error in one line, without obstore's debugging output and without secrets."""
    text = str(error)
    detail = _DETAIL.search(text)
    line = text.partition("\n")[0].removesuffix('<?xml version="1.0" encoding="UTF-8"?>').rstrip(": ")
    if detail:
        line = f"{status_of(error) or 'error'} {detail[1]}" + (f": {detail[2]}" if detail[2] else "")
    return hidden(line)[:_LONGEST_TEXT]
