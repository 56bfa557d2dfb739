r"""Append-only record of finished work below ``OUT/ledger``: what a run that goes on needn't do again.

Each process that records opens a segment of its own, ``000001.jsonl``, ``000002.jsonl``, …, and never touches another
one. A segment is JSON lines, each ``{"crc32":"<8 hex digits>","record":<record>}``, the checksum being that of the
record's bytes as they stand. The first record names the plan; the others are finished tasks and finished images.

A segment may be cut at any byte: what follows the last whole line is no record, and its work is done again. A whole
line that doesn't fit its checksum is damage; it is left out too, and reported. Segments of another plan are left out
silently: one plan follows another when new files have come, and takes over what it can of the finished work.
"""

from __future__ import annotations

import base64
import json
import os
import re
import sys
import time
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import PurePath
from types import TracebackType
from typing import Any, Self

from pipeline.errors import OutputError
from pipeline.model import Failure, InstanceOutcome, Plan, RegionResult, Task, TaskResult
from pipeline.storage import GrowingFile, Place, growing, place, unwritable

VERSION = 1
SYNC_SECONDS = 1.0
"""At most this long does a record wait for the disk while others arrive. A crash of the process loses nothing that
was appended; only one of the machine (in an object store: of the process too) can lose the last records, whose work is
then done again."""
_PREFIX = b'{"crc32":"%08x","record":'
_PREFIX_LENGTH = len(_PREFIX % 0)
_SEGMENT = re.compile(r"([0-9]{6,})\.jsonl")


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
    def open(cls, out: str | os.PathLike[str] | Place, plan_id: str) -> Ledger:
        """Start a new segment below ``OUT/ledger`` for the plan `plan_id` (:func:`pipeline.plan.digest`).

        Raises
        ------
        OutputError
            If the folder can't be written.
        """
        folder = place(out) / "ledger"
        try:
            return cls(_create(folder, _line({"kind": "ledger", "version": VERSION, "plan": plan_id})))
        except OSError as error:
            raise unwritable(folder.name, error) from error

    def append(self, result: TaskResult) -> None:
        """Record a finished task; it is with the operating system on return, and on the disk soon after.

        Raises
        ------
        OutputError
            If it can't be written, for example to a full disk; the ledger takes no more records then.
        """
        self._append(_result_record(result))

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
            raise unwritable(self._file.name, error) from error
        if time.monotonic() - self._synced >= SYNC_SECONDS:
            self._sync()

    def _sync(self) -> None:
        try:
            self._file.sync()
        except OSError as error:
            raise unwritable(self._file.name, error) from error
        self._synced = time.monotonic()


def read(out: str | os.PathLike[str] | Place, plan_id: str | None = None) -> Finished:
    """Read all segments below ``OUT/ledger``; nothing is finished where there are none.

    This holds every result in memory; :func:`results` gives them one at a time.

    Parameters
    ----------
    out : str or path-like
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
        ended = record["kind"] == "files"
        if record["kind"] == "task":
            results[record["task"]] = _result(record)
        elif record["kind"] == "image":
            images[record["image"]] = record.get("digest", "")
        elif record["kind"] == "files":
            files = {name: (size, digest) for name, (size, digest) in record["files"].items()}
    return Finished(results, frozenset(images), images, files, tuple(damage), ended)


def results(out: str | os.PathLike[str] | Place, plan_id: str) -> Iterator[TaskResult]:
    """Yield the finished tasks of a plan, one at a time, oldest first; see :func:`read`."""
    return (_result(record) for record in _all_records(out, plan_id, []) if record["kind"] == "task")


def images(out: str | os.PathLike[str] | Place, plan_id: str) -> dict[int, str]:
    """Return the finalised images of a plan, by position, each with its digest; see :func:`read`."""
    records = _all_records(out, plan_id, [])
    return {record["image"]: record.get("digest", "") for record in records if record["kind"] == "image"}


def files(out: str | os.PathLike[str] | Place, plan_id: str, *, at_the_end: bool = False) -> dict[str, tuple[int, str]]:
    """Return what the last run that ended left, see :attr:`Finished.files`; empty where none has ended.

    With `at_the_end`, empty also where anything was recorded since.
    """
    found: dict[str, tuple[int, str]] = {}
    for record in _all_records(out, plan_id, []):
        if record["kind"] == "files":
            found = {name: (size, digest) for name, (size, digest) in record["files"].items()}
        elif at_the_end:
            found = {}
    return found


def forget_others(out: str | os.PathLike[str] | Place, *plan_ids: str) -> None:
    """Remove the segments that belong to other plans than these, which nothing will read again."""
    for segment in _segments(place(out) / "ledger"):
        head = next(_lines(segment), b"")
        payload = _payload(head)
        if payload is not None and json.loads(payload)["plan"] not in plan_ids:
            segment.remove()


def _all_records(
    out: str | os.PathLike[str] | Place, plan_id: str | None, damage: list[str]
) -> Iterator[dict[str, Any]]:
    for segment in _segments(place(out) / "ledger"):
        yield from _records(segment, plan_id, damage)


def remaining(plan: Plan, finished: Finished) -> tuple[Task, ...]:
    """Return the tasks of `plan` that are still to be done, in its order."""
    return tuple(task for task in plan.tasks if task.id not in finished.results)


def _segments(folder: Place) -> list[Place]:
    """All segments, in the order in which they were started."""
    numbered = [(int(match[1]), name) for name in folder.children() if (match := _SEGMENT.fullmatch(name))]
    return [folder / name for _, name in sorted(numbered)]


def _create(folder: Place, head: bytes) -> GrowingFile:
    """Create the next segment; of two processes that want the same number, one gets the number after it."""
    numbers = (int(match[1]) for name in folder.children() if (match := _SEGMENT.fullmatch(name)))
    number = max(numbers, default=0) + 1
    while True:
        try:
            return growing(folder, number, head)
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
            yield from (line for line in file if line.endswith(b"\n"))
    except OSError as error:
        raise unwritable(segment.name, error, "can't be read") from error


def _records(segment: Place, plan_id: str | None, damage: list[str]) -> Iterator[dict[str, Any]]:
    """Yield a segment's records after the first, which is checked; append what isn't one to `damage`."""
    for number, line in enumerate(_lines(segment), 1):
        payload = _payload(line)
        if payload is None and number == 1:
            damage.append(
                f"{PurePath(segment.name).name}, line 1: the checksum doesn't fit; its plan isn't known, it isn't used"
            )
            return
        if payload is None:
            damage.append(
                f"{PurePath(segment.name).name}, line {number}: the checksum doesn't fit; its work is done again"
            )
        elif number == 1:
            if not _is_of(segment, json.loads(payload), plan_id):
                return
        else:
            yield json.loads(payload)


def _is_of(segment: Place, record: Mapping[str, Any], plan_id: str | None) -> bool:
    """Whether a segment's first record names the plan that is wanted."""
    if record["version"] != VERSION:
        raise OutputError(
            f"{segment}: a ledger of version {record['version']}; this program reads version {VERSION}",
            reason="other_version",
        )
    return plan_id in (None, record["plan"])


def _result_record(result: TaskResult) -> dict[str, Any]:
    return {
        "kind": "task",
        "task": result.task,
        "regions": [_region_record(region) for region in result.regions],
        "outcomes": [_outcome_record(outcome) for outcome in result.outcomes],
        "frames": result.frames,
        "encoded_bytes": result.encoded_bytes,
        "decoded_bytes": result.decoded_bytes,
        "seconds": result.seconds,
        "syntax_seconds": result.syntax_seconds,
    }


def _region_record(region: RegionResult) -> dict[str, Any]:
    return {
        "image": region.image,
        "frames": [region.frame_start, region.frame_stop],
        "checksums": base64.b64encode(region.checksums).decode(),
        "valid": base64.b64encode(region.valid).decode(),
        "stored_bytes": region.stored_bytes,
        "digest": region.digest,
    }


def _outcome_record(outcome: InstanceOutcome) -> dict[str, Any]:
    """Only what isn't empty: there is one of these for each file of an archive."""
    record: dict[str, Any] = {"instance": outcome.instance}
    if outcome.decoder:
        record["decoder"] = outcome.decoder
    if outcome.photometric_interpretation:
        record["photometric_interpretation"] = outcome.photometric_interpretation
    if failure := outcome.failure:
        record["failure"] = {"reason": failure.reason, "message": failure.message, "frame": failure.frame}
        if failure.salvaged:
            record["failure"]["salvaged"] = True
    return record


def _result(record: Mapping[str, Any]) -> TaskResult:
    return TaskResult(
        task=record["task"],
        regions=tuple(map(_region, record["regions"])),
        outcomes=tuple(map(_outcome, record["outcomes"])),
        frames=record["frames"],
        encoded_bytes=record["encoded_bytes"],
        decoded_bytes=record["decoded_bytes"],
        seconds=record["seconds"],
        syntax_seconds=record.get("syntax_seconds", {}),
    )


def _region(record: Mapping[str, Any]) -> RegionResult:
    start, stop = record["frames"]
    return RegionResult(
        image=record["image"],
        frame_start=start,
        frame_stop=stop,
        checksums=base64.b64decode(record["checksums"]),
        valid=base64.b64decode(record["valid"]),
        stored_bytes=record["stored_bytes"],
        digest=record.get("digest", ""),
    )


def _outcome(record: Mapping[str, Any]) -> InstanceOutcome:
    failure = record.get("failure")
    return InstanceOutcome(
        record["instance"],
        # The same few words for a million instances: one object each.
        sys.intern(record.get("decoder", "")),
        sys.intern(record.get("photometric_interpretation", "")),
        failure and Failure(**failure),
    )
