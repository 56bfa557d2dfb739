"""report.json and report.html, into the output directory."""

from __future__ import annotations

from pipeline.report.asdict import render_json
from pipeline.report.page import render_html
from pipeline.report.run_summary import RunSummary
from pipeline.storage import OutputDir, as_place_error


def write(out: OutputDir, summary: RunSummary) -> None:
    """Write both reports of a run, replacing earlier ones.

    Raises
    ------
    OutputError
        Where that can't be done.
    """
    for path, text in ((out.report_json, render_json(summary)), (out.report_html, render_html(summary))):
        try:
            path.write_bytes(text.encode("utf-8", "backslashreplace"))  # paths need not be UTF-8
        except OSError as error:
            raise as_place_error(str(path), error) from error
