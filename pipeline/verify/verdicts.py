"""The verdict on every file that the run found: whether the original may go."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pipeline.catalog import iter_rows
from pipeline.outcomes import stored_frames
from pipeline.verify.earlier import Verified, fingerprints
from pipeline.verify.expected import ExpectedResult
from pipeline.verify.outcome import GONE, Verification

VERDICTS = {
    "equal": "the original was compared and is stored: it can be deleted",
    "copy": "a byte-identical copy of an original that is equal: it can be deleted",
    "stored": "what is stored is what was written; the original was not compared",
    "partly_stored": "what is stored of it is sound, but it holds frames or other images that aren't stored: keep it",
    "gone": "its original isn't there any more; nothing is wrong with what is stored of it",
    "unsound": "something is wrong with what is stored of it, or with the original",
    "not_stored": "it was not converted, so it is nowhere but in its original",
}
"""Verdict → what it means."""
DELETABLE = frozenset({"equal", "copy"})


def file_verdicts(found: Verification) -> Iterator[dict[str, Any]]:
    """Yield a row for every row of the catalog, in its order: what became of the file, and the verdict on it."""
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
        before = _before(found, row["source"], verdict)
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
    """Return, by instance, what of its original isn't stored: because nothing declares it, or because of select.frames."""
    counts = stored_frames(expected.plan)
    instances = expected.plan.instances
    chosen = {i: count for i, count in counts.items() if count < instances[i].number_of_frames}
    selected = {
        i: f"select.frames: {n} of {instances[i].number_of_frames} frames are stored" for i, n in chosen.items()
    }
    return {i: "; ".join(one[i] for one in (selected, found.partly) if i in one) for i in selected | found.partly}


def _note(found: Verification, partly: Mapping[int, str], position: int | None) -> str | None:
    if position is None:
        return None
    return "; ".join(one[position] for one in (found.notes, partly) if position in one) or None


def _before(found: Verification, source: str, verdict: str) -> Verified | None:
    """Return what an earlier verification said, where this one doesn't know better."""
    unseen = verdict in {"gone", "stored"} or (verdict == "not_stored" and found.sample is not None)
    return found.before.get(source) if unseen else None


def _instance(position: int | None, kept: int | None) -> int:
    """Return the instance that a file's frames are stored of; -1 for none."""
    return next((one for one in (kept, position) if one is not None), -1)


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
    # what can't be attributed to a file, such as a lost plan, speaks against all of them
    problem = found.touched.get(position)
    if found.general or (problem and problem.code != GONE):
        return "unsound"
    if problem or _rightly_gone(found, source):
        return "gone"
    if position not in found.compared:
        return "stored"
    return "partly_stored" if position in partly else "equal"
