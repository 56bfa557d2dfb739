"""Trying again what may succeed the next time, and telling apart what never will."""

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
from pipeline.storage.answers import UnusableAnswerError
from pipeline.storage.urls import STORES, hidden, scheme_of

T = TypeVar("T")
_PAGES_TRIED = 3
"""How often an answer that is a page is tried: most servers mean it."""
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
"""What S3 and Azure say of credentials that are refused whatever they are used for; another refusal is of one object."""
_LONGEST_TEXT = 300


class RangesNotServedError(OSError):
    """The server gives whole objects only."""


class CutAnswerError(OSError):
    """The server sent another number of bytes than it announced."""


def retrying(what: Callable[[], T], retries: int, name: str) -> T:
    """Return what `what` does, tried again after errors that may pass: 5xx, 429, resets, cut bodies, timeouts.

    Pauses grow from a tenth of a second to ten, with a random part, lest all workers come back at once.

    Raises
    ------
    FileNotFoundError, PermissionError, FileExistsError, RangesNotServedError
        At once.
    CredentialsError
        At once, where an object store refuses the credentials, and would for any other object.
    OSError
        After the last try, or at once for what can't pass; says how often it was tried.
    """
    for attempt in range(retries + 1):
        try:
            return what()
        except UnusableAnswerError:
            if attempt == min(retries, _PAGES_TRIED - 1):
                raise
        except (BaseError, FileNotFoundError, CutAnswerError, ConnectionError, TimeoutError) as error:
            final = _permanent(error, name)
            if final is not None:
                raise final from error
            if attempt == retries:
                raise OSError(f"{name}: {told(error)} (tried {attempt + 1} times)") from error
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
    """Return what to raise for an error that stays, None for one that may pass."""
    if scheme_of(name) in STORES and (_CREDENTIALS.search(str(error)) or isinstance(error, UnauthenticatedError)):
        return CredentialsError(
            f"{name}: the store refuses the credentials ({told(error)}): renew them, and give the same command again",
            source=name,
        )
    for kind, translated in _TRANSLATED:
        if isinstance(error, kind):
            return translated(f"{name}: {told(error)}")
    status = status_of(error)
    if (400 <= status < 500 and status not in _MAY_PASS) or status == _NOT_IMPLEMENTED:  # noqa: PLR2004  HTTP's client errors
        return OSError(f"{name}: {told(error)}")
    return _of_the_server(error, name)


def _of_the_server(error: Exception, name: str) -> OSError | None:
    """Return what to raise where a server can't be used as it is, or as it is reached."""
    if certificate := _CERTIFICATE.search(str(error)):
        return OSError(
            f"{name}: the server's certificate isn't trusted ({certificate[1]}); of an authority of your own, name the file "
            "with its certificates in the environment variable SSL_CERT_FILE, on workers too"
        )
    if "Content-Length Header missing" in str(error):
        return OSError(f"{name}: the server doesn't say how long the file is (Content-Length)")
    if "builder error" in str(error):  # the address itself is wrong, or plain HTTP where it isn't allowed
        return OSError(f"{name}: the address can't be used; plain HTTP needs storage.allow_http: true")
    return None


def status_of(error: BaseException) -> int:
    """Return the HTTP status in an error's text, 0 without one."""
    found = _STATUS.search(str(error))
    return int(found[1] or found[2]) if found else 0


def is_behind_the_end(error: Exception) -> bool:
    """Whether a range was asked for that begins where the object ends, or later."""
    return status_of(error) == _UNSATISFIABLE or "Wanted range starting at" in str(
        error
    )  # Azure sends 206 all the same


def told(error: Exception) -> str:
    """Return an error in one line, without obstore's debugging output, and without secrets."""
    text = str(error)
    detail = _DETAIL.search(text)
    line = text.partition("\n")[0].removesuffix('<?xml version="1.0" encoding="UTF-8"?>').rstrip(": ")
    if detail:
        line = f"{status_of(error) or 'error'} {detail[1]}" + (f": {detail[2]}" if detail[2] else "")
    return hidden(line)[:_LONGEST_TEXT]
