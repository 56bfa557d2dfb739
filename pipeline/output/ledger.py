r"""The append-only record of finished work below ``OUT/ledger``, which a later run doesn't repeat.

Each process that records opens a segment of its own, ``000001.jsonl``, ``000002.jsonl``, …, and never touches another
segment. A segment is JSON lines, each ``{"crc32":"<8 hex digits>","record":<record>}``, with the checksum of the
record's bytes as written. The first record names the plan; the others are finished tasks and finished images.

A segment may be cut at any byte: bytes after the last whole line are no record, and their work is done again. A whole
line that doesn't match its checksum is damaged; it is left out too, and reported. Segments of another plan are left out
silently: when new files have come, a new plan follows and takes over the finished work that it can use.

A checksum is no signature: a user who can write the ledger can write any line. A line that isn't one of our records counts
as damaged too. The caller must check that a result belongs to a task of the plan (:func:`pipeline.plan.is_result_of`).
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
"""The longest time that a record waits for the disk while others arrive. A crash of the process loses no appended
record. A crash of the machine (in an object store: also of the process) can lose the last records; their work is then
done again."""
_PREFIX = b'{"crc32":"%08x","record":'
_PREFIX_LENGTH = len(_PREFIX % 0)
LONGEST_LINE = 2**28
"""Bytes of the longest line. A record has twelve bytes for each frame of a task, so this is more than 20 million frames."""


@dataclass(frozen=True, slots=True)
class Finished:
    """The finished work that a ledger records."""

    results: Mapping[int, TaskResult] = field(default_factory=dict)
    """The result of each task; the later one if a task was recorded twice."""
    images: frozenset[int] = frozenset()
    """Finalised images, by position in the plan."""
    image_digests: Mapping[int, str] = field(default_factory=dict)
    """By image, a digest of all its files except the shards (:func:`pipeline.store.finalise_image` returns it)."""
    files: Mapping[str, tuple[int, str]] = field(default_factory=dict)
    """The files of the last finished run outside of images.zarr and ledger: path → size, xxh3_128 in hexadecimal."""
    damage: tuple[str, ...] = ()
    """Whole lines that were no records, for people: segment, line and error."""
    ended: bool = False
    """Whether the last record says that a run has ended."""


class Ledger:
    """A segment that this process writes; a context manager. Use :meth:`open`.

    Only one thread may write; others can read at any time.
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
        """Record a finished task. On return the operating system has the record; soon after it is on the disk.

        Raises
        ------
        OutputError
            If the record can't be written, for example to a full disk; then the ledger takes no more records.
        """
        self._append(result_record(result))

    def append_image(self, image: int, digest: str = "") -> None:
        """Record a finalised image, by its position in the plan, with its digest; like :meth:`append`."""
        self._append({"kind": "image", "image": image, "digest": digest})

    def append_files(self, files: Mapping[str, tuple[int, str]]) -> None:
        """Record that the run has ended, with its other files (:attr:`Finished.files`); like :meth:`append`."""
        self._append({"kind": "files", "files": files})

    def close(self) -> None:
        """Flush everything to the disk, and close the segment."""
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
    """Read all segments below ``OUT/ledger``; without segments, no work is finished.

    This holds every result in memory; :func:`results` yields one at a time.

    Parameters
    ----------
    out : OutputDir
        The output directory.
    plan_id : str, optional
        The plan whose work is read; by default any plan.

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
    """Return the files of the last finished run, see :attr:`Finished.files`; empty if no run has ended.

    With `at_the_end`, the result is also empty if anything was recorded after that run.
    """
    found: dict[str, tuple[int, str]] = {}
    for record in _all_records(out, plan_id, []):
        if isinstance(record, _Files):
            found = record.files
        elif at_the_end:
            found = {}
    return found


def forget_others(out: OutputDir, *plan_ids: str) -> None:
    """Remove the segments of all other plans, which no run will read again."""
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
    """The files of a finished run."""

    files: dict[str, tuple[int, str]]


_Record = TaskResult | _Image | _Files


def _all_records(out: OutputDir, plan_id: str | None, damage: list[str]) -> Iterator[_Record]:
    for segment in _segments(out):
        yield from _records(segment, plan_id, damage)


def _segments(out: OutputDir) -> list[Place]:
    """Return all segments, oldest first."""
    folder = out.ledger
    return [folder / name for name in out.ledger_segments()]


def _create(out: OutputDir, head: bytes) -> GrowingFile:
    """Create the next segment; if two processes want the same number, one of them gets the next number."""
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
    """Return the record's bytes in a whole line; None if the line is damaged."""
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
    """Check a segment's first record, and yield the others; append damaged lines to `damage`."""
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
    """Return version and plan of a segment's first record; None if the bytes aren't such a record."""
    try:
        record = json.loads(payload)
        return read_number(record["version"]), read_text(record["plan"])
    except NO_RECORD:
        return None


def _record(payload: bytes) -> _Record | None:
    """Return a record as a value; None if it isn't one of ours, which a checksum can't tell."""
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
