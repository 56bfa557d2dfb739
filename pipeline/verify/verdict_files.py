"""Write the verdicts to the result: ``verify.parquet``, one row per file, and ``verify.json``, the summary."""

from __future__ import annotations

import json
import os
from typing import Any

from pipeline.catalog import write_verdicts
from pipeline.output import file_digest
from pipeline.storage import OutputDir, as_place_error, using
from pipeline.verify.earlier_verifications import DIGEST
from pipeline.verify.outcome import Verification
from pipeline.verify.verdicts import file_verdicts


def write(found: Verification, folder: str | os.PathLike[str] | None = None) -> None:
    """Write both files into the output directory, or into another folder.

    Raises
    ------
    OutputError
        If a file can't be written.
    """
    with using(found.options):
        beside = OutputDir(os.fspath(folder or found.out))
        try:
            summary = as_dict(found)
            if found.verdicts:
                write_verdicts(beside.verdicts, file_verdicts(found))
                summary[DIGEST] = file_digest(beside.verdicts)[1]
            beside.verify_sum.write_bytes((json.dumps(summary, indent=1) + "\n").encode())
        except OSError as error:
            raise as_place_error(str(beside.root), error, "can't take the verdicts") from error


def as_dict(found: Verification) -> dict[str, Any]:
    """Return the summary as plain values."""
    return {
        "output": found.out.name,
        "verified": found.when,
        "exit_code": found.exit_code,
        "seconds": round(found.seconds, 3),
        "originals_compared": found.source,
        "sample": found.sample,
        "images": found.images,
        "frames": found.frames,
        "frames_compared": found.compared_frames,
        "files": found.files,
        "deletable": found.deletable,
        "rightly_gone": found.rightly_gone,
        "verdicts": dict(sorted(found.verdicts.items())),
        "problems": dict(found.counts.most_common()),
        "first_problems": [
            {"code": problem.code, "where": problem.where, "message": problem.message} for problem in found.problems
        ],
    }
