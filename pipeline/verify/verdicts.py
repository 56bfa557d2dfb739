"""The verdict on every file that the run found: whether the original may go."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pipeline.catalog import iter_rows
from pipeline.verify.outcome import Verification

VERDICTS = {
    "equal": "the original was compared and is stored: it can be deleted",
    "copy": "a byte-identical copy of an original that is equal: it can be deleted",
    "stored": "what is stored is what was written; the original was not compared",
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
    for row in iter_rows(expected.out, ("source", "status", "reason")):
        position = by_source.get(row["source"])
        kept = found.copies.get(row["source"])
        verdict = _verdict(found, row["status"], position, kept)
        problem = found.touched.get(position) if position is not None else None
        yield {
            **row,
            "verdict": verdict,
            "deletable": verdict in DELETABLE,
            "problem": problem and problem.code,
            "message": problem and f"{problem.where}: {problem.message}",
            "compared_by": found.compared.get(-1 if position is None else position),
            "note": found.notes.get(-1 if position is None else position),
        }


def _verdict(found: Verification, status: str, position: int | None, kept: int | None) -> str:
    if status == "converted" and position is not None:
        return _stored(found, position)
    if kept is not None:
        return {"equal": "copy"}.get(_stored(found, kept), "not_stored")
    return "not_stored"


def _stored(found: Verification, position: int) -> str:
    # what can't be attributed to a file, such as a lost plan, speaks against all of them
    problem = found.touched.get(position)
    if found.general or (problem and problem.code != "source_gone"):
        return "unsound"
    if problem:
        return "gone"
    return "equal" if position in found.compared else "stored"
