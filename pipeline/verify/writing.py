"""Leaving the verdicts beside the result: ``verify.parquet``, one row a file, and ``verify.json``, the sum."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from typing import Any

from pipeline.catalog import write_verdicts
from pipeline.errors import OutputError
from pipeline.storage import place, using
from pipeline.verify.outcome import Verification
from pipeline.verify.verdicts import file_verdicts


def write(found: Verification, folder: str | os.PathLike[str] | None = None) -> None:
    """Write both files into the output directory, or into another folder.

    Raises
    ------
    OutputError
        Where that can't be done.
    """
    with using(found.options):
        beside = place(folder or found.out)
        try:
            if found.verdicts:
                write_verdicts(beside / "verify.parquet", file_verdicts(found))
            (beside / "verify.json").write_bytes((json.dumps(as_dict(found), indent=1) + "\n").encode())
        except OSError as error:
            raise OutputError(f"{beside}: the verdicts can't be written: {error.strerror or error}") from error


def as_dict(found: Verification) -> dict[str, Any]:
    """Return the sum as plain values."""
    return {
        "output": found.out,
        "verified": datetime.now(UTC).isoformat(timespec="seconds"),
        "exit_code": found.exit_code,
        "seconds": round(found.seconds, 3),
        "originals_compared": found.source,
        "sample": found.sample,
        "images": found.images,
        "frames": found.frames,
        "frames_compared": found.compared_frames,
        "files": found.files,
        "deletable": found.deletable,
        "verdicts": dict(sorted(found.verdicts.items())),
        "problems": dict(found.counts.most_common()),
        "first_problems": [
            {"code": problem.code, "where": problem.where, "message": problem.message} for problem in found.problems
        ],
    }
