"""Show or hide paths in the report: names of folders and files often name the patient."""

from __future__ import annotations

import re

from pipeline.model import local_path
from pipeline.report.run_summary import FailureLine, RunSummary
from pipeline.units import counted

_PATH = re.compile(r"(?<![\w./])(?:[A-Za-z][\w+.-]*://|[A-Za-z]:[\\/]|/[^\s'\"/]+/)[^\s'\"]*")
"""Text that begins like an absolute path or a URL, up to the next space or quotation mark."""
_OPENING = 'import dcm2zarr\n\nimages = dcm2zarr.open(".")  # in the folder that this report lies in'


def title(summary: RunSummary) -> str:
    """Return the title of the page."""
    name = summary.out.rstrip("/").rsplit("/", 1)[-1] or summary.out
    return name if summary.paths else f"Conversion of {counted(summary.files, 'file')}"


def file_name(summary: RunSummary, failure: FailureLine) -> str:
    """Return the name of a failed file: its path if the report may show paths, else its row in the catalog."""
    return failure.source if summary.paths else "" if failure.row is None else f"row {failure.row}"


def hide_paths(summary: RunSummary, failure: FailureLine, text: str) -> str:
    """Return `text` about a failed file, without paths unless the report may show them."""
    if summary.paths:
        return text
    text = text.removeprefix(f"{failure.source}: ")
    for path in (failure.source, local_path(failure.source)):
        text = text.replace(path, "the file")
    return _PATH.sub("…", text.replace(summary.out, "the output directory"))


def how_to_open(summary: RunSummary) -> str:
    """Return Python code that opens the result."""
    return summary.how_to_open() if summary.paths else _OPENING
