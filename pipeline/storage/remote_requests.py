"""Single requests to an object store or a web server, each with retries."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import obstore
from obstore.exceptions import NotSupportedError

from pipeline.storage.http_answers import BEGINNING, check_answer
from pipeline.storage.options import Options
from pipeline.storage.retrying import CutAnswerError, is_behind_the_end, retry, status_of
from pipeline.storage.stores import store_at
from pipeline.storage.urls import split

_PAGE = 1000
_REFUSED = (400, 401, 403)
MULTIPART = 256 * 2**20
"""Bytes above which an object is sent in parts: a single put is limited to 5 GiB, and each retry would send all again."""


Version = Mapping[str, str]
"""Identity of an object's version under obstore's names: ``e_tag``, and ``version`` if the store has versions."""
_UNKNOWN = frozenset({400, 405, 501})
"""Statuses with which servers refuse an unknown condition. The refusal of a put for another reason shows on the next put."""


class ConditionsNotServedError(OSError):
    """The server doesn't support conditional puts."""


@dataclass(frozen=True, slots=True)
class Found:
    """An object, as a listing or an answer describes it."""

    name: str
    """The object's URL."""
    size: int
    mtime_ns: int
    etag: str
    """Without quotes; empty if the server sends none."""


@dataclass(frozen=True, slots=True)
class Object:
    """One object and how to reach it."""

    name: str
    options: Options

    @property
    def _store(self) -> Any:
        return store_at(split(self.name).root, self._own)

    @property
    def _own(self) -> Options:
        return self.options.for_url(self.name)

    @property
    def _key(self) -> str:
        return split(self.name).key

    def get_range(self, start: int, stop: int) -> tuple[memoryview, Found]:
        """Return bytes ``[start, stop)`` (fewer if the object ends earlier), and the object's size and identity.

        Raises
        ------
        FileNotFoundError, PermissionError, RangesNotServedError, OSError
        """

        def get() -> tuple[memoryview, Found]:
            try:
                answer = obstore.get(self._store, self._key, options={"range": (start, stop)})
                data = memoryview(answer.bytes())
            except Exception as error:
                if is_behind_the_end(error):  # an empty object, or one that became shorter
                    return memoryview(b""), self.head()
                raise
            check_answer(self.name, answer.attributes, lambda: self._beginning(data if start == 0 else None))
            found = _found(self.name, answer.meta)
            if len(data) != max(min(stop, found.size) - start, 0):
                raise CutAnswerError(
                    f"the server sent {len(data)} bytes of [{start}, {stop}), the object has {found.size}"
                )
            return data, found

        return retry(get, self._own.retries, self.name)

    def get_last(self, count: int) -> memoryview:
        """Return the last `count` bytes, or all bytes of a shorter object."""
        if split(self.name).scheme == "az":  # Azure doesn't support such ranges
            size = self.head().size
            return self.get_range(max(size - count, 0), size)[0] if size else memoryview(b"")

        def get() -> memoryview:
            try:
                answer = obstore.get(self._store, self._key, options={"range": {"suffix": count}})
            except Exception as error:
                if is_behind_the_end(error):  # an empty object
                    return memoryview(b"")
                raise
            data = memoryview(answer.bytes())
            if len(data) != min(count, answer.meta["size"]):
                raise CutAnswerError(f"the server sent {len(data)} of the last {count} bytes")
            return data

        return retry(get, self._own.retries, self.name)

    def get(self, limit: int | None = None) -> tuple[memoryview, Found]:
        """Return the whole object, but no bytes if it has more than `limit`."""

        def get() -> tuple[memoryview, Found]:
            answer = obstore.get(self._store, self._key)
            found = _found(self.name, answer.meta)
            if limit is not None and found.size > limit:
                return memoryview(b""), found
            data = memoryview(answer.bytes())
            check_answer(self.name, answer.attributes, lambda: self._beginning(data))
            if len(data) != found.size:
                raise CutAnswerError(f"the server sent {len(data)} of {found.size} bytes")
            return data, found

        return retry(get, self._own.retries, self.name)

    def _beginning(self, data: memoryview | None) -> bytes:
        """Return the object's first bytes, from `data` or by a request."""
        if data is None:
            data = memoryview(obstore.get(self._store, self._key, options={"range": (0, BEGINNING)}).bytes())
        return bytes(data[:BEGINNING])

    def head(self) -> Found:
        """Request size and identity only.

        If the server refuses, request the first byte, because only an answer with a body explains the refusal.
        """

        def head() -> Found:
            try:
                return _found(self.name, obstore.head(self._store, self._key))
            except Exception as error:
                if status_of(error) in _REFUSED:
                    obstore.get(self._store, self._key, options={"range": (0, 1)})
                raise

        return retry(head, self._own.retries, self.name)

    def put(self, data: Any) -> None:
        """Write or replace the whole object, in a single request unless it is huge."""
        size = memoryview(data).nbytes
        retry(
            lambda: obstore.put(self._store, self._key, data, use_multipart=size > MULTIPART),
            self._own.retries,
            self.name,
        )

    def create(self, data: bytes) -> None:
        """Write an object that doesn't exist; FileExistsError if it does, on servers with conditional puts."""
        self._put_if(data, "create")

    def get_version(self, limit: int) -> tuple[bytes, Version]:
        """Return the whole object (no bytes if it has more than `limit`) and its version."""

        def get() -> tuple[bytes, Version]:
            answer = obstore.get(self._store, self._key)
            known = {name: str(answer.meta[name]) for name in ("e_tag", "version") if answer.meta.get(name)}
            return b"" if answer.meta["size"] > limit else bytes(answer.bytes()), known

        return retry(get, self._own.retries, self.name)

    def replace(self, data: bytes, version: Version) -> None:
        """Replace the object if it still has this version.

        Raises
        ------
        FileExistsError
            If the object has another version; also if an earlier try succeeded but its answer was lost.
        ConditionsNotServedError
            If the server doesn't support this condition; nothing is written then.
        """
        if "version" not in version if split(self.name).scheme == "gs" else "e_tag" not in version:
            raise ConditionsNotServedError(f"{self.name}: the server doesn't send the object's version")
        self._put_if(data, dict(version))

    def _put_if(self, data: bytes, mode: Any) -> None:
        """Put on a condition; servers without support refuse the put or ignore the condition."""
        try:
            retry(
                lambda: obstore.put(self._store, self._key, data, mode=mode, use_multipart=False),
                self._own.retries,
                self.name,
            )
        except OSError as error:
            cause = error.__cause__ or error
            if isinstance(cause, NotSupportedError) or status_of(cause) in _UNKNOWN:
                raise ConditionsNotServedError(f"{self.name}: the server doesn't support conditional puts") from error
            raise

    def put_file(self, path: Path) -> None:
        """Write the object from a file."""
        multipart = path.stat().st_size > MULTIPART
        retry(
            lambda: obstore.put(
                self._store, self._key, path if multipart else path.read_bytes(), use_multipart=multipart
            ),
            self._own.retries,
            self.name,
        )

    def copy_to(self, other: Object) -> None:
        """Copy the object to another one of the same store, on the server if possible.

        Azure may still be copying after its answer, so there this process reads and writes the bytes.
        """
        if split(self.name).scheme != "az":
            try:
                retry(lambda: obstore.copy(self._store, self._key, other._key), 0, self.name)
            except FileNotFoundError:
                raise
            except OSError:  # a server that can't copy, or can't copy objects of this size
                pass
            else:
                return
        other.put(self.get()[0])

    def delete(self) -> None:
        """Remove the object; do nothing if it is missing."""

        def delete() -> None:
            with contextlib.suppress(FileNotFoundError):
                obstore.delete(self._store, self._key)

        retry(delete, self._own.retries, self.name)

    def children(self) -> tuple[list[str], list[Found]]:
        """Return the names of the folders, and the objects, directly below this name."""

        def listing() -> tuple[list[str], list[Found]]:
            root, key = split(self.name)
            found = obstore.list_with_delimiter(self._store, key or None)
            folders = [path.rpartition("/")[2] for path in found["common_prefixes"]]
            return folders, [_listed(root, meta) for meta in found["objects"] if meta["path"] != key]

        return retry(listing, self._own.retries, self.name)

    def below(self) -> Iterator[Found]:
        """Yield every object below this name while pages of the listing arrive.

        After an error the listing starts again and skips objects that it has already yielded, whatever the order.
        """
        root, key = split(self.name)
        yielded: set[str] = set()
        pages: Iterator[Any] | None = None

        def page() -> Any:
            nonlocal pages
            if pages is None:
                pages = iter(obstore.list(self._store, key or None, chunk_size=_PAGE))
            try:
                return next(pages, None)
            except Exception:
                pages = None
                raise

        while (found := retry(page, self._own.retries, self.name)) is not None:
            for meta in found:
                if meta["path"] not in yielded and meta["path"] != key:
                    yielded.add(meta["path"])
                    yield _listed(root, meta)


def find(name: str, options: Options) -> Iterator[Found]:
    """Yield every object below `name`; see :meth:`Object.below`."""
    return Object(name, options).below()


def _listed(root: str, meta: Mapping[str, Any]) -> Found:
    return _found(f"{root}/{meta['path']}", meta)


def _found(name: str, meta: Mapping[str, Any]) -> Found:
    moment = meta["last_modified"]
    # obstore reports the epoch if the server sends no time.
    mtime = int(moment.timestamp()) * 10**9 + moment.microsecond * 1000
    etag = (meta["e_tag"] or "").removeprefix("W/").strip('"')
    return Found(name, meta["size"], mtime, etag)
