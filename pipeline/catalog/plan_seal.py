"""``plan.json``: which tables make up the plan, how many rows each has, and facts for later stages."""

from __future__ import annotations

import json
from typing import Any

from pipeline.errors import OutputError
from pipeline.model import LAYOUT
from pipeline.storage import OutputDir

FORMAT = 2
"""Version of the plan's tables."""
_LONGEST_SEAL = 2**28
"""Bytes: the facts name every segment, and every image and row that was replaced."""


def remove_plan(out: OutputDir) -> None:
    """Remove the plan's seal, and so the plan; its tables may stay."""
    out.plan_seal.remove()


def has_plan(out: OutputDir) -> bool:
    """Return whether `out` holds a whole plan."""
    return out.plan_seal.exists()


def read_facts(out: OutputDir) -> dict[str, Any]:
    """Return the facts that were written with the plan.

    Raises
    ------
    OutputError
        If the plan is missing or incomplete.
    """
    facts: dict[str, Any] = read_seal(out)["facts"]
    return facts


def read_seal(out: OutputDir) -> dict[str, Any]:
    """Return the seal: the tables' number, the rows of each table, and the facts; OutputError if the seal is missing or invalid."""
    try:
        seal: dict[str, Any] = json.loads(out.plan_seal.read_bytes(_LONGEST_SEAL))
        version = seal["format"]
    except FileNotFoundError as error:
        raise damaged(f"{out.plan} holds no whole plan: {error}") from error
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise damaged(f"{out.plan_seal} can't be read: {error}") from error
    if version != FORMAT:
        raise OutputError(
            f"{out.plan} holds a plan of format {str(version)[:20]}; this version reads format {FORMAT}",
            reason="other_version",
        )
    check_layout(out, seal.get("layout", 1))
    numbers = (seal.get("tables"), *seal["rows"].values()) if isinstance(seal.get("rows"), dict) else (None,)
    if not all(isinstance(number, int) and number >= 0 for number in numbers) or not isinstance(
        seal.get("facts"), dict
    ):
        raise damaged(f"{out.plan_seal} can't be read: no run of this program can have written it")
    return seal


def check_layout(out: OutputDir, found: Any) -> None:
    """Refuse an output directory whose images another version lays out: images of two layouts don't mix.

    Raises
    ------
    OutputError
        If `found`, the number of its layout, isn't this version's (reason ``other_version``).
    """
    if found != LAYOUT:
        raise OutputError(
            f"{out}: its images have layout {str(found)[:20]}, and this version makes layout {LAYOUT}, so it can't continue "
            "or check them: convert again, into another output directory or with --overwrite",
            reason="other_version",
        )


def damaged(message: str) -> OutputError:
    """Return the error that reports a damaged plan."""
    return OutputError(message, reason="damaged_result")
