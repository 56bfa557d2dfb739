"""Where things are, as the report may say it: names of folders and files often tell who a file is of."""

from __future__ import annotations

import re

from pipeline.model import local_path
from pipeline.report.run_summary import FailureLine, RunSummary
from pipeline.units import counted

_PATH = re.compile(r"(?<![\w./])(?:[A-Za-z][\w+.-]*://|[A-Za-z]:[\\/]|/[^\s'\"/]+/)[^\s'\"]*")
"""What begins like an absolute path or a URL, up to the next space or quotation mark."""
_OPENING = 'import dcm2zarr\n\nimages = dcm2zarr.open(".")  # in the folder that this report lies in'


def title(summary: RunSummary) -> str:
    """Return what the page is called."""
    name = summary.out.rstrip("/").rsplit("/", 1)[-1] or summary.out
    return name if summary.paths else f"Conversion of {counted(summary.files, 'file')}"


def file_name(summary: RunSummary, failure: FailureLine) -> str:
    """Return what tells a file that failed: its path where that may be said, else its row in the catalog."""
    return failure.source if summary.paths else "" if failure.row is None else f"row {failure.row}"


def told(summary: RunSummary, failure: FailureLine, text: str) -> str:
    """Return what happened to it, given as `text`, without paths where they may not be said."""
    if summary.paths:
        return text
    text = text.removeprefix(f"{failure.source}: ")
    for path in (failure.source, local_path(failure.source)):
        text = text.replace(path, "the file")
    return _PATH.sub("…", text.replace(summary.out, "the output directory"))


def how_to_open(summary: RunSummary) -> str:
    """Return Python that opens the result."""
    return summary.how_to_open() if summary.paths else _OPENING
