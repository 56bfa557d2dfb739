"""Task results as JSON-like values, and back. Records are checked when read: others may be able to write to the ledger."""

from __future__ import annotations

import base64
import sys
from collections.abc import Mapping
from typing import Any

from pipeline.model.instances import Failure
from pipeline.model.task_results import InstanceOutcome, RegionResult, TaskResult

NO_RECORD = (AttributeError, LookupError, TypeError, ValueError, RecursionError)
"""Errors that reading raises if the values aren't a record."""
_LONGEST_TEXT = 2**20
_MOST = 2**63


def result_record(result: TaskResult) -> dict[str, Any]:
    """Return a result as JSON-like values."""
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
        "frames": [region.start, region.stop],
        "checksums": base64.b64encode(region.checksums).decode(),
        "valid": base64.b64encode(region.valid).decode(),
        "stored_bytes": region.stored_bytes,
        "digest": region.digest,
    }


def _outcome_record(outcome: InstanceOutcome) -> dict[str, Any]:
    """Return an outcome without its empty fields, because an archive has one outcome per file."""
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


def read_result(record: Mapping[str, Any]) -> TaskResult:
    """Return the result that a record holds; one of :data:`NO_RECORD` if it can't be a record."""
    return TaskResult(
        task=read_number(record["task"]),
        regions=tuple(map(_region, record["regions"])),
        outcomes=tuple(map(_outcome, record["outcomes"])),
        frames=read_number(record["frames"]),
        encoded_bytes=read_number(record["encoded_bytes"]),
        decoded_bytes=read_number(record["decoded_bytes"]),
        seconds=_times(record["seconds"]),
        syntax_seconds={read_text(uid): _times(seconds) for uid, seconds in record.get("syntax_seconds", {}).items()},
    )


def _region(record: Mapping[str, Any]) -> RegionResult:
    start, stop = record["frames"]
    return RegionResult(
        image=read_number(record["image"]),
        start=read_number(start),
        stop=read_number(stop),
        checksums=base64.b64decode(record["checksums"]),
        valid=base64.b64decode(record["valid"]),
        stored_bytes=read_number(record["stored_bytes"]),
        digest=read_text(record.get("digest", "")),
    )


def _outcome(record: Mapping[str, Any]) -> InstanceOutcome:
    failure = record.get("failure")
    return InstanceOutcome(
        read_number(record["instance"]),
        # The same few words for a million instances: keep one object of each.
        sys.intern(read_text(record.get("decoder", ""))),
        sys.intern(read_text(record.get("photometric_interpretation", ""))),
        failure and _failure(**failure),
    )


def _failure(reason: Any, message: Any, frame: Any, salvaged: Any = False) -> Failure:
    return Failure(read_text(reason), read_text(message), None if frame is None else read_number(frame), bool(salvaged))


def read_number(value: Any) -> int:
    """Return a whole number from 0 to below 2**63; ValueError for anything else."""
    if not isinstance(value, int) or not 0 <= value < _MOST:
        raise ValueError("not a number")
    return value


def read_text(value: Any) -> str:
    """Return a text of at most 2**20 characters; ValueError for anything else."""
    if not isinstance(value, str) or len(value) > _LONGEST_TEXT:
        raise ValueError("not a text")
    return value


def _times(values: Any) -> dict[str, float]:
    """Return the seconds of each stage; ValueError for anything but times."""
    if any(not isinstance(value, int | float) or not 0 <= value < _MOST for value in values.values()):
        raise ValueError("not a time")
    return {read_text(name): value for name, value in values.items()}
