"""report.json and report.html, into the output directory."""

from __future__ import annotations

from pathlib import Path

from pipeline.errors import OutputError
from pipeline.report.asdict import render_json
from pipeline.report.page import render_html
from pipeline.report.summary import RunSummary


def write(out: str, summary: RunSummary) -> None:
    """Write both reports of a run, replacing earlier ones.

    Raises
    ------
    OutputError
        Where that can't be done.
    """
    for name, text in (("report.json", render_json(summary)), ("report.html", render_html(summary))):
        path = Path(out) / name
        part = path.with_name(f".{name}.part")  # a report is there whole or not at all
        try:
            part.write_text(text, "utf-8", errors="backslashreplace")  # paths need not be UTF-8
            part.replace(path)
        except OSError as error:
            raise OutputError(f"{path} can't be written: {error.strerror}") from error
