"""Write report.json and report.html into the output directory."""

from __future__ import annotations

from pipeline.report.asdict import render_json
from pipeline.report.page import render_html
from pipeline.report.run_summary import RunSummary
from pipeline.storage import OutputDir, as_place_error


def write(out: OutputDir, summary: RunSummary) -> None:
    """Write both reports of a run, and replace earlier ones.

    Raises
    ------
    OutputError
        If a report can't be written.
    """
    for path, text in ((out.report_json, render_json(summary)), (out.report_html, render_html(summary))):
        try:
            path.write_bytes(text.encode("utf-8", "backslashreplace"))  # paths need not be UTF-8
        except OSError as error:
            raise as_place_error(str(path), error) from error
