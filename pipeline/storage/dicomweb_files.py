"""Instances of a DICOMweb service, as the PS3.10 files that the service stores (WADO-RS, PS3.18 10.4).

Each instance is fetched whole: only then does every server send header and frames bit for bit as stored. A worker process
holds one instance at a time, in memory or, if large, in a temporary file. The folder for temporary files (TMPDIR) needs
room for the largest instance, once for each worker process.
"""

from __future__ import annotations

import email.parser
import io
import re
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from tempfile import SpooledTemporaryFile, gettempdir
from typing import IO, Any

import requests

from pipeline.errors import SourceError
from pipeline.storage.dicomweb import Resource, parse, request_error, session_of
from pipeline.storage.http_answers import UnusableAnswerError, encodings
from pipeline.storage.options import active
from pipeline.storage.positioned import PositionedFile
from pipeline.storage.remote_requests import Found

AS_STORED = 'multipart/related; type="application/dicom"; transfer-syntax=*'
"""Whole instances in the stored transfer syntax (PS3.18 8.7.3.3.2 and 10.4.1.1)."""
IN_MEMORY = 16 << 20
"""Bytes up to which an instance is held in memory; a larger one goes to a temporary file."""
_PIECE = 1 << 20
_LONGEST_HEAD = 1 << 16
_PAGES_TRIED = 3
"""How often to request an instance whose answer is something else: most servers won't change their answer."""
_FILES = frozenset({"", "application/dicom", "application/octet-stream", "binary/octet-stream"})
_UNDONE = frozenset({"", "identity", "gzip", "x-gzip", "deflate"})
"""Encodings that the library requests decodes by itself."""
_RETRIED = frozenset({429, 500, 502, 503, 504})
_Whole = tuple[IO[bytes], int, int]
"""A file that holds an answer, and the start and end of the instance in it."""


def open_instance(source: str, expected: Found | None = None) -> Part:
    """Fetch a whole instance and return it as a file; the last instance is kept for later tasks.

    Parameters
    ----------
    source : str
        The instance's URL.
    expected : Found, optional
        Size and identity that the scan recorded.

    Raises
    ------
    SourceError
        With reason ``file_not_found``, ``unreadable`` or ``source_changed``.
    """
    part = _kept.get(source)
    if expected is not None and expected.size != part.found.size:
        raise SourceError(
            f"{source}: changed since its header was read (size {expected.size} then, {part.found.size} now); run again",
            reason="source_changed",
            source=source,
        )
    return part


class _Kept:
    """Cache of the instance that this process fetched last."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._source = ""
        self._part: _Whole = (io.BytesIO(), 0, 0)

    def get(self, source: str) -> Part:
        with self._lock:
            if source != self._source:
                self._source, self._part = "", (io.BytesIO(), 0, 0)
                self._part = _fetch(source)
                self._source = source
            return Part(source, *self._part, self._lock)


class Part(PositionedFile):
    """A part of a shared file, as a file."""

    def __init__(self, name: str, whole: IO[bytes], start: int, stop: int, lock: threading.Lock) -> None:
        super().__init__()
        self.name = name
        self.found = Found(name, stop - start, 0, "")
        self._whole, self._start, self._size = whole, start, stop - start
        self._lock = lock

    def _end(self) -> int:
        return self._size

    def readinto(self, target: Any) -> int:
        """Copy the bytes after the position into `target` and return their number."""
        view = memoryview(target).cast("B")
        with self._lock:
            self._whole.seek(self._start + self._position)
            data = self._whole.read(max(min(len(view), self._size - self._position), 0))
        view[: len(data)] = data
        self._position += len(data)
        return len(data)


_kept = _Kept()


def _fetch(source: str) -> _Whole:
    """Fetch an instance, with retries."""
    resource = parse(source)
    for tried, wait in enumerate((*_waits(), None), 1):
        try:
            return _fetch_once(source, resource)
        except (_CutError, UnusableAnswerError) as error:
            if wait is None or (isinstance(error, UnusableAnswerError) and tried == _PAGES_TRIED):
                raise SourceError(f"{source}: {error}", source=source) from error
        except requests.RequestException as error:
            if wait is None or not _passing(error):
                raise request_error(source, error) from error
        time.sleep(wait)
    raise AssertionError("the last try returns or raises")


class _CutError(Exception):
    """An answer that ends too early."""


def _fetch_once(source: str, resource: Resource) -> _Whole:
    options = active()
    timeout = (options.connect_timeout, options.timeout)
    with session_of(threading.get_ident(), resource.root).get(
        resource.url, headers={"Accept": AS_STORED, "Accept-Encoding": "identity"}, stream=True, timeout=timeout
    ) as answer:
        answer.raise_for_status()
        _check_encoding(answer)
        with ExitStack() as failed:
            file = failed.enter_context(SpooledTemporaryFile(IN_MEMORY))
            for piece in answer.iter_content(_PIECE):
                _write(file, piece, source)
            start, stop = _instance_in(file, answer.headers.get("Content-Type", ""))
            failed.pop_all()  # closed with the last reader
    return file, start, stop


def _instance_in(file: IO[bytes], kind: str) -> tuple[int, int]:
    """Return start and end of the instance in an answer of the given Content-Type."""
    size = file.tell()
    if not kind.lower().startswith("multipart/"):
        _check_kind(kind)
        return 0, size
    boundary = re.search(r'boundary="?([^";]+)', kind, re.IGNORECASE)
    if boundary is None:
        raise UnusableAnswerError(f"the server's multipart answer has no boundary: {kind}")
    return _only_part(file, size, boundary[1].strip().encode())


def _check_encoding(answer: requests.Response) -> None:
    """Refuse encodings that requests can't decode without optional packages."""
    encoding = answer.headers.get("Content-Encoding", "")
    if not _UNDONE.issuperset(encodings(encoding)):
        raise UnusableAnswerError(f"the server sends Content-Encoding: {encoding}, which dcm2zarr doesn't decode")


def _check_kind(kind: str) -> None:
    """Refuse an answer, or a part of it, whose Content-Type can't belong to a PS3.10 file."""
    if kind.partition(";")[0].strip().lower() not in _FILES:
        raise UnusableAnswerError(
            f"the server answers with {kind} in place of the instance: perhaps a login page or an error"
        )


def _write(file: IO[bytes], piece: bytes, source: str) -> None:
    try:
        file.write(piece)
    except OSError as error:
        raise SourceError(
            f"{source}: {gettempdir()} can't hold the instance ({error.strerror or error}); set TMPDIR to a folder with room",
            source=source,
        ) from error


def _only_part(file: IO[bytes], size: int, boundary: bytes) -> tuple[int, int]:
    """Return start and end of the first part's body (RFC 2046 5.1); an answer for one instance has one part."""
    file.seek(0)
    head = file.read(_LONGEST_HEAD)
    first = head.find(b"--" + boundary)
    begin = head.find(b"\r\n\r\n", first)
    tail_at = max(size - _LONGEST_HEAD, 0)
    file.seek(tail_at)
    end = file.read().rfind(b"\r\n--" + boundary + b"--")
    if begin < 0 or end < 0:
        raise _CutError("the answer ends before its last part does")
    start, stop = begin + 4, tail_at + end
    headers = email.parser.BytesHeaderParser().parsebytes(
        head[first + len(boundary) + 2 : begin].lstrip() + b"\r\n\r\n"
    )
    if headers.get("Content-Length", str(stop - start)).strip() != str(stop - start):
        raise _CutError(f"the part has {stop - start} bytes, but announces {headers['Content-Length']}")
    _check_kind(headers.get("Content-Type", ""))
    return start, stop


def _waits() -> Iterator[float]:
    yield from (min(0.2 * 2**number, 10.0) for number in range(active().retries))


def _passing(error: Exception) -> bool:
    answer = getattr(error, "response", None)
    return answer is None or answer.status_code in _RETRIED
