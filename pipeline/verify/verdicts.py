"""The verdict on every file that the run found: whether the original can be deleted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pipeline.catalog import iter_rows
from pipeline.outcomes import stored_frames
from pipeline.verify.earlier_verifications import Verified, fingerprints
from pipeline.verify.expected import ExpectedResult
from pipeline.verify.outcome import GONE, Verification

VERDICTS = {
    "equal": "the original was compared with the stored data and is equal: it can be deleted",
    "copy": "a byte-identical copy of an original that is equal: it can be deleted",
    "stored": "the stored data are as written; the original was not compared",
    "partly_stored": "the stored data are sound, but the original holds frames or other images that aren't stored: keep it",
    "gone": "the original no longer exists; nothing is wrong with the stored data",
    "unsound": "something is wrong with the stored data or with the original",
    "not_stored": "the file was not converted: only the original holds its data",
}
"""Verdict → its meaning."""
DELETABLE = frozenset({"equal", "copy"})


def file_verdicts(found: Verification) -> Iterator[dict[str, Any]]:
    """Yield a row for every row of the catalog, in its order: the outcome of the file, and the verdict on it."""
    expected = found.expected
    if expected is None:
        return
    by_source = expected.by_source()
    partly = _partly_stored(found, expected)
    marks = fingerprints(expected)
    for row in iter_rows(expected.out, ("source", "status", "reason")):
        position = by_source.get(row["source"])
        kept = found.copies.get(row["source"])
        verdict = _verdict(found, partly, row, position, kept)
        problem = found.touched.get(position) if position is not None else None
        before = _earlier_verdict(found, row["source"], verdict)
        if verdict in DELETABLE:
            before = Verified(found.when, marks.get(_instance(position, kept), ""))
        yield {
            **row,
            "verdict": verdict,
            "deletable": verdict in DELETABLE,
            "problem": problem and problem.code,
            "message": problem and f"{problem.where}: {problem.message}",
            "compared_by": found.compared.get(-1 if position is None else position),
            "note": _note(found, partly, position),
            "verified": before and before.when,
            "fingerprint": before and before.fingerprint,
        }


def _partly_stored(found: Verification, expected: ExpectedResult) -> dict[int, str]:
    """Return, by instance, what its original holds that isn't stored: because nothing declares it, or select.frames skips it."""
    counts = stored_frames(expected.plan)
    instances = expected.plan.instances
    chosen = {i: count for i, count in counts.items() if count < instances[i].number_of_frames}
    selected = {
        i: f"select.frames: {n} of {instances[i].number_of_frames} frames are stored" for i, n in chosen.items()
    }
    return {
        i: "; ".join(remarks[i] for remarks in (selected, found.partly) if i in remarks)
        for i in selected | found.partly
    }


def _note(found: Verification, partly: Mapping[int, str], position: int | None) -> str | None:
    if position is None:
        return None
    return "; ".join(remarks[position] for remarks in (found.notes, partly) if position in remarks) or None


def _earlier_verdict(found: Verification, source: str, verdict: str) -> Verified | None:
    """Return the result of an earlier verification, if this one can't tell more."""
    unseen = verdict in {"gone", "stored"} or (verdict == "not_stored" and found.sample is not None)
    return found.before.get(source) if unseen else None


def _instance(position: int | None, kept: int | None) -> int:
    """Return the instance that holds a file's frames; -1 for none."""
    return next((instance for instance in (kept, position) if instance is not None), -1)


def _verdict(
    found: Verification, partly: Mapping[int, str], row: Mapping[str, Any], position: int | None, kept: int | None
) -> str:
    if row["status"] == "converted" and position is not None:
        return _stored(found, partly, position, row["source"])
    if kept is not None:
        stored = _stored(found, partly, kept)
        return {"equal": "copy", "partly_stored": stored}.get(stored, "not_stored")
    return "gone" if _rightly_gone(found, row["source"]) and not found.general else "not_stored"


def _rightly_gone(found: Verification, source: str) -> bool:
    return source in found.absent and source in found.before


def _stored(found: Verification, partly: Mapping[int, str], position: int, source: str = "") -> str:
    # A problem that can't be attributed to a file, such as a lost plan, affects all files.
    problem = found.touched.get(position)
    if found.general or (problem and problem.code != GONE):
        return "unsound"
    if problem or _rightly_gone(found, source):
        return "gone"
    if position not in found.compared:
        return "stored"
    return "partly_stored" if position in partly else "equal"
