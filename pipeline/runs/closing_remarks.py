"""Remarks that need all instances: on single instances, for their rows, and on the whole, for terminal and report."""

from __future__ import annotations

from collections import Counter

from pipeline import scan
from pipeline.plan import find_kept_apart
from pipeline.runs.state import Prepared
from pipeline.units import counted


def make_notes(prepared: Prepared) -> dict[int, str]:
    """Return notes on instances, by position, for the catalog's column ``assumptions``."""
    found = _note_shared_uids(prepared)
    for position, names in _find_kept_apart(prepared).items():
        note = f"not in one image with all files of its Series Instance UID: these differ in {names}"
        found[position] = "; ".join(filter(None, (found.get(position), note)))
    return found


def make_remarks(prepared: Prepared) -> tuple[str, ...]:
    """Return, in sentences, what a person should know about the conversion as a whole."""
    return tuple(
        f"{counted(number, 'file')} could be in one image with others by their Series Instance "
        f"UID, but differ in {names} and are kept apart; the column assumptions of catalog.parquet says which."
        for names, number in sorted(Counter(_find_kept_apart(prepared).values()).items())
    )


def _find_kept_apart(prepared: Prepared) -> dict[int, str]:
    stacked = prepared.settings["output.grouping"] == "series"
    return find_kept_apart(prepared.plan) if stacked else {}


def _note_shared_uids(prepared: Prepared) -> dict[int, str]:
    """Return notes on files that share their SOP Instance UID with others; earlier versions of a file don't count as others."""
    instances, replaced = prepared.plan.instances, prepared.replaced_instances()
    current = [position for position in range(len(instances)) if position not in replaced]
    notes = scan.shared_uids([instances[i] for i in current])
    return {current[place]: note for place, note in notes.items()}
