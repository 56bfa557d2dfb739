"""What only all instances together tell: of each, for its row, and of the whole, for whoever reads the terminal or the report."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

from pipeline import scan
from pipeline.engine.state import Prepared
from pipeline.model import Instance
from pipeline.plan import kept_apart
from pipeline.report.units import counted


def notes(prepared: Prepared) -> dict[int, str]:
    """Return notes on instances, by position, for the catalog's column ``assumptions``."""
    found = _of_current(prepared, scan.shared_uids)
    for position, names in _apart(prepared).items():
        note = f"not in one image with all files of its Series Instance UID: these differ in {names}"
        found[position] = "; ".join(filter(None, (found.get(position), note)))
    return found


def remarks(prepared: Prepared) -> tuple[str, ...]:
    """Return, in sentences, what a person should know of the conversion as a whole."""
    return tuple(
        f"{counted(number, 'file')} could be in one image with others by their Series Instance "
        f"UID, but differ in {names} and are kept apart; the column assumptions of catalog.parquet says which."
        for names, number in sorted(Counter(_apart(prepared).values()).items())
    )


def _apart(prepared: Prepared) -> dict[int, str]:
    stacked = prepared.settings["output.grouping"] == "series"
    return _of_current(prepared, kept_apart) if stacked else {}


def _of_current(prepared: Prepared, told: Callable[[Sequence[Instance]], dict[int, str]]) -> dict[int, str]:
    """Return what is told of the instances, by position; earlier versions of files that have changed aren't among them."""
    instances, replaced = prepared.plan.instances, prepared.replaced_instances()
    if not replaced:
        return told(instances)
    current = [position for position in range(len(instances)) if position not in replaced]
    return {current[place]: text for place, text in told([instances[i] for i in current]).items()}
