r"""Append-only record of finished work below ``OUT/ledger``: what a run that goes on needn't do again.

Each process that records opens a segment of its own, ``000001.jsonl``, ``000002.jsonl``, …, and never touches another
one. A segment is JSON lines, each ``{"crc32":"<8 hex digits>","record":<record>}``, the checksum being that of the
record's bytes as they stand. The first record names the plan; the others are finished tasks and finished images.

A segment may be cut at any byte: what follows the last whole line is no record, and its work is done again. A whole
line that doesn't fit its checksum is damage; it is left out too, and reported. Segments of another plan are left out
silently: one plan follows another when new files have come, and takes over what it can of the finished work.

A checksum is no signature: whoever can write the ledger can write any line. What isn't a record of ours is damage too, and
that a result is one of the plan's own tasks is for the caller to check (:func:`pipeline.plan.is_result_of`).
"""

from __future__ import annotations

import json
import time
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import PurePath
from types import TracebackType
from typing import Any, NamedTuple, Self

from pipeline.errors import OutputError
from pipeline.model import NO_RECORD, TaskResult, read_number, read_result, read_text, result_record
from pipeline.storage import GrowingFile, OutputDir, Place, as_place_error, create_growing_file

VERSION = 1
SYNC_SECONDS = 1.0
"""At most this long does a record wait for the disk while others arrive. A crash of the process loses nothing that
was appended; only one of the machine (in an object store: of the process too) can lose the last records, whose work is
then done again."""
_PREFIX = b'{"crc32":"%08x","record":'
_PREFIX_LENGTH = len(_PREFIX % 0)
LONGEST_LINE = 2**28
"""Bytes: a record has twelve for each frame of a task, so that this is more than twenty million frames."""


@dataclass(frozen=True, slots=True)
class Finished:
    """What a ledger says is done."""

    results: Mapping[int, TaskResult] = field(default_factory=dict)
    """By task; of a task recorded twice, the later one."""
    images: frozenset[int] = frozenset()
    """Finalised images, by position in the plan."""
    image_digests: Mapping[int, str] = field(default_factory=dict)
    """By image, what :func:`pipeline.store.finalise_image` returned: a digest of all its files but the shards."""
    files: Mapping[str, tuple[int, str]] = field(default_factory=dict)
    """What the last run that ended left outside of images.zarr and ledger: path → size, xxh3_128 in hexadecimal."""
    damage: tuple[str, ...] = ()
    """Whole lines that were no records, for people: segment, line and what is wrong."""
    ended: bool = False
    """Whether the last record of all is that a run has ended."""


class Ledger:
    """A segment being written. Use :meth:`open`; a context manager.

    For one thread; others can read at any time.
    """

    def __init__(self, file: GrowingFile) -> None:
        self._file = file
        self._synced = time.monotonic()

    @classmethod
    def open(cls, out: OutputDir, plan_id: str) -> Ledger:
        """Start a new segment below ``OUT/ledger`` for the plan `plan_id` (:func:`pipeline.plan.digest`).

        Raises
        ------
        OutputError
            If the folder can't be written.
        """
        folder = out.ledger
        try:
            return cls(_create(out, _line({"kind": "ledger", "version": VERSION, "plan": plan_id})))
        except OSError as error:
            raise as_place_error(folder.name, error) from error

    def append(self, result: TaskResult) -> None:
        """Record a finished task; it is with the operating system on return, and on the disk soon after.

        Raises
        ------
        OutputError
            If it can't be written, for example to a full disk; the ledger takes no more records then.
        """
        self._append(result_record(result))

    def append_image(self, image: int, digest: str = "") -> None:
        """Record a finalised image, by its position in the plan, with its digest; as :meth:`append`."""
        self._append({"kind": "image", "image": image, "digest": digest})

    def append_files(self, files: Mapping[str, tuple[int, str]]) -> None:
        """Record that the run has ended and what else it left, see :attr:`Finished.files`; as :meth:`append`."""
        self._append({"kind": "files", "files": files})

    def close(self) -> None:
        """Bring everything to the disk."""
        if not self._file.closed:
            try:
                self._sync()
            finally:
                self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _append(self, record: Mapping[str, Any]) -> None:
        if self._file.closed:
            raise OutputError(f"{self._file.name}: the ledger is closed")
        try:
            self._file.append(_line(record))
        except OSError as error:
            raise as_place_error(self._file.name, error) from error
        if time.monotonic() - self._synced >= SYNC_SECONDS:
            self._sync()

    def _sync(self) -> None:
        try:
            self._file.sync()
        except OSError as error:
            raise as_place_error(self._file.name, error) from error
        self._synced = time.monotonic()


def read(out: OutputDir, plan_id: str | None = None) -> Finished:
    """Read all segments below ``OUT/ledger``; nothing is finished where there are none.

    This holds every result in memory; :func:`results` gives them one at a time.

    Parameters
    ----------
    out : OutputDir
        The output directory.
    plan_id : str, optional
        The plan whose work is wanted; by default any.

    Raises
    ------
    OutputError
        If a segment comes from a later version, or can't be read.
    """
    results: dict[int, TaskResult] = {}
    images: dict[int, str] = {}
    files: dict[str, tuple[int, str]] = {}
    damage: list[str] = []
    ended = False
    for record in _all_records(out, plan_id, damage):
        ended = isinstance(record, _Files)
        if isinstance(record, TaskResult):
            results[record.task] = record
        elif isinstance(record, _Image):
            images[record.image] = record.digest
        elif isinstance(record, _Files):
            files = record.files
    return Finished(results, frozenset(images), images, files, tuple(damage), ended)


def results(out: OutputDir, plan_id: str) -> Iterator[TaskResult]:
    """Yield the finished tasks of a plan, one at a time, oldest first; see :func:`read`."""
    return (record for record in _all_records(out, plan_id, []) if isinstance(record, TaskResult))


def images(out: OutputDir, plan_id: str) -> dict[int, str]:
    """Return the finalised images of a plan, by position, each with its digest; see :func:`read`."""
    records = _all_records(out, plan_id, [])
    return {record.image: record.digest for record in records if isinstance(record, _Image)}


def files(out: OutputDir, plan_id: str, *, at_the_end: bool = False) -> dict[str, tuple[int, str]]:
    """Return what the last run that ended left, see :attr:`Finished.files`; empty where none has ended.

    With `at_the_end`, empty also where anything was recorded since.
    """
    found: dict[str, tuple[int, str]] = {}
    for record in _all_records(out, plan_id, []):
        if isinstance(record, _Files):
            found = record.files
        elif at_the_end:
            found = {}
    return found


def forget_others(out: OutputDir, *plan_ids: str) -> None:
    """Remove the segments that belong to other plans than these, which nothing will read again."""
    for segment in _segments(out):
        head = next(_lines(segment), b"")
        payload = _payload(head)
        known = None if payload is None else _head(payload)
        if known is not None and known not in {(VERSION, plan_id) for plan_id in plan_ids}:
            segment.remove()


class _Image(NamedTuple):
    """An image that was finalised."""

    image: int
    digest: str


class _Files(NamedTuple):
    """What a run that ended left."""

    files: dict[str, tuple[int, str]]


_Record = TaskResult | _Image | _Files


def _all_records(out: OutputDir, plan_id: str | None, damage: list[str]) -> Iterator[_Record]:
    for segment in _segments(out):
        yield from _records(segment, plan_id, damage)


def _segments(out: OutputDir) -> list[Place]:
    """All segments, in the order in which they were started."""
    folder = out.ledger
    return [folder / name for name in out.ledger_segments()]


def _create(out: OutputDir, head: bytes) -> GrowingFile:
    """Create the next segment; of two processes that want the same number, one gets the number after it."""
    number = out.next_ledger_segment()
    while True:
        try:
            return create_growing_file(out.ledger, number, head)
        except FileExistsError:
            number += 1


def _line(record: Mapping[str, Any]) -> bytes:
    payload = json.dumps(record, separators=(",", ":")).encode()
    return b"".join([_PREFIX % zlib.crc32(payload), payload, b"}\n"])


def _payload(line: bytes) -> bytes | None:
    """Return the record's bytes in a whole line; None where the line isn't what was written."""
    payload = line[_PREFIX_LENGTH:-2]
    return payload if line == b"".join([_PREFIX % zlib.crc32(payload), payload, b"}\n"]) else None


def _lines(segment: Place) -> Iterator[bytes]:
    """Yield the whole lines of a segment."""
    try:
        with segment.open() as file:
            while line := file.readline(LONGEST_LINE):
                if line.endswith(b"\n"):
                    yield line
                elif len(line) == LONGEST_LINE:
                    raise OutputError(
                        f"{segment}: the ledger can't be read: a line is longer than any record", reason="not_ours"
                    )
    except OSError as error:
        raise as_place_error(segment.name, error, "can't be read") from error


def _records(segment: Place, plan_id: str | None, damage: list[str]) -> Iterator[_Record]:
    """Yield a segment's records after the first, which is checked; append what isn't one to `damage`."""
    name = PurePath(segment.name).name
    for number, line in enumerate(_lines(segment), 1):
        payload = _payload(line)
        what = "the checksum doesn't fit" if payload is None else "it is no record"
        if number == 1:
            head = None if payload is None else _head(payload)
            if head is None:
                damage.append(f"{name}, line 1: {what}; its plan isn't known, it isn't used")
            elif head[0] != VERSION:
                raise OutputError(
                    f"{segment}: a ledger of version {head[0]}; this program reads version {VERSION}",
                    reason="other_version",
                )
            if head is None or plan_id not in (None, head[1]):
                return
            continue
        record = None if payload is None else _record(payload)
        if record is None:
            damage.append(f"{name}, line {number}: {what}; its work is done again")
        else:
            yield record


def _head(payload: bytes) -> tuple[int, str] | None:
    """Return version and plan of a segment's first record; None where it isn't one."""
    try:
        record = json.loads(payload)
        return read_number(record["version"]), read_text(record["plan"])
    except NO_RECORD:
        return None


def _record(payload: bytes) -> _Record | None:
    """Return what a record says; None where it isn't one of ours, which checksums don't tell."""
    try:
        record = json.loads(payload)
        if record["kind"] == "task":
            return read_result(record)
        if record["kind"] == "image":
            return _Image(read_number(record["image"]), read_text(record.get("digest", "")))
        if record["kind"] == "files":
            files = record["files"].items()
            return _Files({name: (read_number(size), read_text(digest)) for name, (size, digest) in files})
    except NO_RECORD:
        pass
    return None
