"""Single requests to an object store or a web server, each tried again where that may help."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import obstore
from obstore.exceptions import NotSupportedError

from pipeline.storage.answers import BEGINNING, check_answer
from pipeline.storage.options import Options
from pipeline.storage.retrying import CutAnswerError, is_behind_the_end, retrying, status_of
from pipeline.storage.stores import store_at
from pipeline.storage.urls import split

_PAGE = 1000
_REFUSED = (400, 401, 403)
MULTIPART = 256 * 2**20
"""Bytes above which an object is sent in parts: a single put may have 5 GiB at most, and would begin anew each time."""


Version = Mapping[str, str]
"""What tells an object from another of the same name, in obstore's words: ``e_tag``, and ``version`` where there are."""
_UNKNOWN = frozenset({400, 405, 501})
"""What servers answer to a condition that they don't know; to a put that they don't take for other reasons, again."""


class ConditionsNotServedError(OSError):
    """The server can't put on a condition."""


@dataclass(frozen=True, slots=True)
class Found:
    """An object, as a listing or an answer describes it."""

    name: str
    """Its URL."""
    size: int
    mtime_ns: int
    etag: str
    """Without quotes; empty where the server gives none."""


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
        """Return bytes ``[start, stop)``, fewer where the object ends before, and what it is.

        Raises
        ------
        FileNotFoundError, PermissionError, RangesNotServedError, OSError
        """

        def get() -> tuple[memoryview, Found]:
            try:
                answer = obstore.get(self._store, self._key, options={"range": (start, stop)})
                data = memoryview(answer.bytes())
            except Exception as error:
                if is_behind_the_end(error):  # nothing there: an empty object, or one that became shorter
                    return memoryview(b""), self.head()
                raise
            check_answer(self.name, answer.attributes, lambda: self._beginning(data if start == 0 else None))
            found = _found(self.name, answer.meta)
            if len(data) != max(min(stop, found.size) - start, 0):
                raise CutAnswerError(f"{len(data)} bytes of [{start}, {stop}) came, the object has {found.size}")
            return data, found

        return retrying(get, self._own.retries, self.name)

    def get_last(self, count: int) -> memoryview:
        """Return the last `count` bytes, fewer where there aren't so many."""
        if split(self.name).scheme == "az":  # Azure's servers don't know such ranges
            size = self.head().size
            return self.get_range(max(size - count, 0), size)[0] if size else memoryview(b"")

        def get() -> memoryview:
            try:
                answer = obstore.get(self._store, self._key, options={"range": {"suffix": count}})
            except Exception as error:
                if is_behind_the_end(error):  # nothing there
                    return memoryview(b"")
                raise
            data = memoryview(answer.bytes())
            if len(data) != min(count, answer.meta["size"]):
                raise CutAnswerError(f"{len(data)} of the last {count} bytes came")
            return data

        return retrying(get, self._own.retries, self.name)

    def get(self, limit: int | None = None) -> tuple[memoryview, Found]:
        """Return the whole object; no bytes where it has more than `limit`."""

        def get() -> tuple[memoryview, Found]:
            answer = obstore.get(self._store, self._key)
            found = _found(self.name, answer.meta)
            if limit is not None and found.size > limit:
                return memoryview(b""), found
            data = memoryview(answer.bytes())
            check_answer(self.name, answer.attributes, lambda: self._beginning(data))
            if len(data) != found.size:
                raise CutAnswerError(f"{len(data)} bytes of {found.size} came")
            return data, found

        return retrying(get, self._own.retries, self.name)

    def _beginning(self, data: memoryview | None) -> bytes:
        """Return the first bytes, of what has come or else asked for."""
        if data is None:
            data = memoryview(obstore.get(self._store, self._key, options={"range": (0, BEGINNING)}).bytes())
        return bytes(data[:BEGINNING])

    def head(self) -> Found:
        """Ask for size and identity alone.

        Where that is refused, the first byte is asked for, because only an answer with a body says why.
        """

        def head() -> Found:
            try:
                return _found(self.name, obstore.head(self._store, self._key))
            except Exception as error:
                if status_of(error) in _REFUSED:
                    obstore.get(self._store, self._key, options={"range": (0, 1)})
                raise

        return retrying(head, self._own.retries, self.name)

    def put(self, data: Any) -> None:
        """Write the object whole, by a single request where it isn't huge. What was there is replaced."""
        size = memoryview(data).nbytes
        retrying(
            lambda: obstore.put(self._store, self._key, data, use_multipart=size > MULTIPART),
            self._own.retries,
            self.name,
        )

    def create(self, data: bytes) -> None:
        """Write an object that isn't there yet; FileExistsError where it is, if the server knows conditional puts."""
        self._put_if(data, "create")

    def get_version(self, limit: int) -> tuple[bytes, Version]:
        """Return the whole object, no bytes where it has more than `limit`, and what tells it from later ones."""

        def get() -> tuple[bytes, Version]:
            answer = obstore.get(self._store, self._key)
            known = {name: str(answer.meta[name]) for name in ("e_tag", "version") if answer.meta.get(name)}
            return b"" if answer.meta["size"] > limit else bytes(answer.bytes()), known

        return retrying(get, self._own.retries, self.name)

    def replace(self, data: bytes, version: Version) -> None:
        """Write an object that is still this version, as far as the server can tell.

        Raises
        ------
        FileExistsError
            Where it isn't; also where an earlier try succeeded whose answer was lost.
        ConditionsNotServedError
            Where the server knows no such condition; nothing is written then.
        """
        if "version" not in version if split(self.name).scheme == "gs" else "e_tag" not in version:
            raise ConditionsNotServedError(f"{self.name}: the server doesn't say which version an object is")
        self._put_if(data, dict(version))

    def _put_if(self, data: bytes, mode: Any) -> None:
        """Put on a condition; a server that doesn't know it says so, or leaves it out."""
        try:
            retrying(
                lambda: obstore.put(self._store, self._key, data, mode=mode, use_multipart=False),
                self._own.retries,
                self.name,
            )
        except OSError as error:
            cause = error.__cause__ or error
            if isinstance(cause, NotSupportedError) or status_of(cause) in _UNKNOWN:
                raise ConditionsNotServedError(f"{self.name}: the server knows no conditional puts") from error
            raise

    def put_file(self, path: Path) -> None:
        """Write the object from a file."""
        multipart = path.stat().st_size > MULTIPART
        retrying(
            lambda: obstore.put(
                self._store, self._key, path if multipart else path.read_bytes(), use_multipart=multipart
            ),
            self._own.retries,
            self.name,
        )

    def copy_to(self, other: Object) -> None:
        """Write another object of the same store with the same bytes; the server does so where it can.

        Azure's may go on copying after they have answered, so there the bytes travel.
        """
        if split(self.name).scheme != "az":
            try:
                retrying(lambda: obstore.copy(self._store, self._key, other._key), 0, self.name)
            except FileNotFoundError:
                raise
            except OSError:  # a server that doesn't know this request, or not for an object of this size
                pass
            else:
                return
        other.put(self.get()[0])

    def delete(self) -> None:
        """Remove the object; one that isn't there is no error."""

        def delete() -> None:
            with contextlib.suppress(FileNotFoundError):
                obstore.delete(self._store, self._key)

        retrying(delete, self._own.retries, self.name)

    def children(self) -> tuple[list[str], list[Found]]:
        """Return the names of folders, and the objects, that lie directly below this name."""

        def listing() -> tuple[list[str], list[Found]]:
            root, key = split(self.name)
            found = obstore.list_with_delimiter(self._store, key or None)
            folders = [path.rpartition("/")[2] for path in found["common_prefixes"]]
            return folders, [_listed(root, meta) for meta in found["objects"] if meta["path"] != key]

        return retrying(listing, self._own.retries, self.name)

    def below(self) -> Iterator[Found]:
        """Yield every object below this name, as pages of the listing come in.

        After an error the listing begins anew, and what was told already is left out: that relies on no order.
        """
        root, key = split(self.name)
        told: set[str] = set()
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

        while (found := retrying(page, self._own.retries, self.name)) is not None:
            for meta in found:
                if meta["path"] not in told and meta["path"] != key:
                    told.add(meta["path"])
                    yield _listed(root, meta)


def find(name: str, options: Options) -> Iterator[Found]:
    """Yield every object below `name`; see :meth:`Object.below`."""
    return Object(name, options).below()


def _listed(root: str, meta: Mapping[str, Any]) -> Found:
    return _found(f"{root}/{meta['path']}", meta)


def _found(name: str, meta: Mapping[str, Any]) -> Found:
    moment = meta["last_modified"]
    # The epoch stands for a server that doesn't say.
    mtime = int(moment.timestamp()) * 10**9 + moment.microsecond * 1000
    etag = (meta["e_tag"] or "").removeprefix("W/").strip('"')
    return Found(name, meta["size"], mtime, etag)
