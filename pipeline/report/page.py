"""Make report.html: one self-contained page, which runs no scripts and fetches nothing from the network."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from importlib.resources import files
from itertools import islice
from typing import Any

from pipeline.report import shown_paths
from pipeline.report.asdict import STATUSES, describe_earlier_runs, reasons, throughput, verdict
from pipeline.report.html_pieces import Column, Markup, bar, note, section, stacked, table
from pipeline.report.plots import steps
from pipeline.report.reason_advice import advice
from pipeline.report.run_summary import RunSummary, Totals
from pipeline.report.sheet import contact_sheet
from pipeline.units import counted, duration, number, ratio, shape, size

MOST_IMAGES = 500
MOST_FAILURES = 1000
FEWEST_SLICES = 3
"""Slices of time: a shorter run is too short for a plot."""

_LOOK_UP = (
    "Rows are rows of catalog.parquet, counted from 0: after images = dcm2zarr.open(...), images.catalog.source[17] is the path of "
    "row 17. This report leaves out paths, because paths often name the patient; report.paths: true shows them."
)
_BAR = Column("", "bar")
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
"""The content security policy: a browser may only show the page. It fetches and runs nothing, even if a header smuggled in HTML."""


def render_html(summary: RunSummary) -> str:
    """Return report.html: readable on narrow and wide screens, in light and dark, and on paper."""
    style = files("pipeline.report").joinpath("report.css").read_text("utf-8")
    body = "\n".join(
        part
        for part in (
            _header(summary),
            _figures(summary),
            *(note(sentence) for sentence in (*describe_earlier_runs(summary), *summary.remarks)),
            section("What became of the files", _outcomes(summary)),
            section("Failures", _failures(summary)),
            section("Not everything is stored", _partly_stored(summary)),
            section("Sample frames", _sheet(summary)),
            section("Throughput", _pace(summary)),
            section("Where the time went", _seconds(summary), _syntaxes(summary)),
            section("Compression by modality", _modalities(summary)),
            section("Images", _images(summary)),
            section("How to open the result", _opening(summary)),
            section("Made with", _versions(summary)),
        )
        if part
    )
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        f"<title>dcm2zarr: {escape(shown_paths.title(summary))}</title>\n<style>\n{style}</style>\n</head>\n"
        f"<body>\n<main>\n{body}\n</main>\n</body>\n</html>\n"
    )


def _header(summary: RunSummary) -> str:
    kind = "failed" if summary.exit_code else "converted"
    when = f"{summary.started:%Y-%m-%d %H:%M:%S %Z}, {duration(summary.seconds)}"
    by = f" · {escape(summary.cluster)}" if summary.cluster else ""
    where = f'<p class="path">{escape(summary.out)}</p>\n' if summary.paths else ""
    return (
        f'<header>\n<p class="product">dcm2zarr report</p>\n<h1>{escape(shown_paths.title(summary))}</h1>\n'
        f"{where}<p>{escape(when)}{by}</p>\n"
        f'<p class="verdict {kind}">{escape(verdict(summary))}</p>\n</header>'
    )


def _figures(summary: RunSummary) -> str:
    totals, speed = summary.totals, throughput(summary)
    figures = [(status, number(summary.count(status)), status) for status in STATUSES]
    figures += [
        ("frames stored", number(totals.frames), ""),
        ("read, encoded", size(totals.encoded_bytes), ""),
        ("decoded", size(totals.decoded_bytes), ""),
    ]
    if totals.stored_bytes is not None:
        figures += [("on disk", size(totals.stored_bytes), ""), ("compression", ratio(totals.ratio), "")]
    if speed:
        figures.append(("decoded", f"{size(speed['decoded_bytes_per_second'])}/s", ""))
    items = "\n".join(
        f'<div class="figure {kind}"><dd>{escape(value)}</dd><dt>{escape(word)}</dt></div>'
        for word, value, kind in figures
    )
    return f'<dl class="figures">\n{items}\n</dl>'


def _outcomes(summary: RunSummary) -> str:
    lines = reasons(summary.status_counts)
    total = sum(line["count"] for line in lines)
    if not total:
        return note("No files were found.")
    columns = (Column("Status"), Column("Reason"), Column("Files", "number"), _BAR, Column("What to do", "text"))
    return table(
        columns,
        (
            (
                _badge(line["status"]),
                _code(line["reason"]),
                number(line["count"]),
                bar(line["count"] / total, line["status"]),
                line["advice"],
            )
            for line in lines
        ),
    )


def _badge(status: str) -> Markup:
    return Markup(f'<span class="badge {escape(status)}">{escape(status)}</span>')


def _code(text: str) -> Markup:
    return Markup(f"<code>{escape(text)}</code>" if text else "")


def _failures(summary: RunSummary) -> str:
    total, listed = summary.count("failed"), min(len(summary.failures), MOST_FAILURES)
    if not total:
        return ""
    groups: dict[str, list[tuple[str, str]]] = {}
    for failure in islice(summary.failures, listed):
        row = (shown_paths.file_name(summary, failure), shown_paths.hide_paths(summary, failure, failure.text))
        groups.setdefault(failure.reason, []).append(row)
    parts = [
        f"<details open>\n<summary>{_code(reason).html} {counted(len(rows), 'file')}</summary>\n"
        f"{note(advice(reason))}\n"
        f"{table((_file(summary), Column('What happened', 'text')), rows)}\n</details>"
        for reason, rows in groups.items()
    ]
    if listed < total:
        parts.append(note(f"These are the first {number(listed)} of {number(total)}; catalog.parquet has them all."))
    if not summary.paths:
        parts.append(note(_LOOK_UP))
    return "\n".join(parts)


def _partly_stored(summary: RunSummary) -> str:
    total, lines = summary.partly_stored_files, summary.partly_stored[:MOST_FAILURES]
    if not total:
        return ""
    told = f"{counted(total, 'converted file')} hold more than their stored frames: keep the originals."
    rest = f" These are the first {number(len(lines))}." if len(lines) < total else ""
    rows = ((shown_paths.file_name(summary, line), shown_paths.hide_paths(summary, line, line.text)) for line in lines)
    look_up = "" if summary.paths else f"\n{note(_LOOK_UP)}"
    columns = (_file(summary), Column("Not stored", "text"))
    return f"{note(told + rest)}\n{table(columns, rows)}{look_up}"


def _file(summary: RunSummary) -> Column:
    return Column("File", "path") if summary.paths else Column("File in the catalog")


def _images(summary: RunSummary) -> str:
    if not summary.images:
        return ""
    largest = max(image.decoded_bytes for image in summary.images) or 1
    columns = (
        *(Column("Image", "path"), Column("Status"), Column("Modality"), Column("Shape", "number"), Column("Type")),
        *(Column("Decoded", "number"), Column("On disk", "number"), Column("Ratio", "number"), _BAR),
    )
    rows = (
        (
            image.path,
            _badge("converted" if image.status == "complete" else "failed"),
            image.modality,
            shape(image.shape),
            image.dtype,
            size(image.decoded_bytes),
            "–" if image.stored_bytes is None else size(image.stored_bytes),  # noqa: RUF001  a dash for nothing
            ratio(image.ratio),
            bar(image.decoded_bytes / largest),
        )
        for image in summary.images[:MOST_IMAGES]
    )
    more = len(summary.images) - MOST_IMAGES
    rest = note(f"{counted(more, 'more image')}: see catalog.parquet or report.json.") if more > 0 else ""
    return table(columns, rows) + rest


def _sheet(summary: RunSummary) -> str:
    if not summary.sheet:
        return ""
    complete = sum(image.status == "complete" for image in summary.images)
    told = f"{number(len(summary.sheet))} of {counted(complete, 'image')}" if complete > len(summary.sheet) else ""
    words = "Grey levels follow Window Center and Width; without these, they span the 1st to the 99th percentile."
    return contact_sheet(summary.sheet) + note(f"{told}. {words}" if told else words)


def _pace(summary: RunSummary) -> str:
    pace = summary.pace
    if len(pace.bytes) < FEWEST_SLICES:
        return ""
    rates = [count / pace.seconds for count in pace.bytes]
    end = len(rates) * pace.seconds
    mean = size(sum(pace.bytes) / end)
    told = (
        f"Decoded bytes per second during the conversion: {mean}/s on average over {duration(end)}, {size(max(rates))}/s at most "
        f"in {duration(pace.seconds)}."
    )
    return steps(rates, top=f"{size(max(rates))}/s", left="0 s", right=duration(end), told=told)


def _modalities(summary: RunSummary) -> str:
    groups = summary.by_modality
    if not groups:
        return ""
    most = max(totals.decoded_bytes for totals in groups.values()) or 1
    columns = (
        *(Column("Modality"), Column("Instances", "number"), Column("Frames", "number"), Column("Encoded", "number")),
        *(Column("Decoded", "number"), Column("On disk", "number"), Column("Compression", "number"), _BAR),
    )
    rows = (
        (
            name,
            number(totals.instances),
            number(totals.frames),
            size(totals.encoded_bytes),
            size(totals.decoded_bytes),
            "–" if totals.stored_bytes is None else size(totals.stored_bytes),  # noqa: RUF001  a dash for nothing
            ratio(totals.ratio),
            _disk_bar(totals, most),
        )
        for name, totals in groups.items()
    )
    return table(columns, rows) + _legend(("disk", "on disk"), ("saved", "decoded"))


def _disk_bar(totals: Totals, most: int) -> Markup:
    stored = min(totals.stored_bytes or 0, totals.decoded_bytes)
    return stacked([("disk", stored / most), ("saved", (totals.decoded_bytes - stored) / most)])


def _syntaxes(summary: RunSummary) -> str:
    groups = summary.by_transfer_syntax
    if not groups:
        return ""
    columns = (
        *(Column("Transfer syntax", "text"), Column("Instances", "number"), Column("Frames", "number")),
        *(Column("Encoded", "number"), Column("Decoded", "number"), Column("Decoding", "number")),
        *(Column("Writing", "number"), _BAR),
    )
    spent = {uid: summary.syntax_seconds.get(uid, {}) for uid in groups}
    most = max((sum(seconds.values()) for seconds in spent.values()), default=0) or 1
    rows = (
        (
            Markup(
                f"{escape(summary.transfer_syntax_names.get(uid) or uid)}{_uid(uid, summary.transfer_syntax_names)}"
            ),
            number(totals.instances),
            number(totals.frames),
            size(totals.encoded_bytes),
            size(totals.decoded_bytes),
            duration(spent[uid].get("decode", 0)),
            duration(spent[uid].get("write", 0)),
            stacked([(stage, spent[uid].get(stage, 0) / most) for stage in ("decode", "write")]),
        )
        for uid, totals in groups.items()
    )
    return table(columns, rows) + _legend(
        ("decode", "decoding, reading included"), ("write", "compressing and writing")
    )


def _legend(*parts: tuple[str, str]) -> str:
    """Return the legend of the colours of bars."""
    items = "".join(f'<span class="key {kind}">{escape(told)}</span>' for kind, told in parts)
    return f'<p class="note legend">{items}</p>'


def _uid(key: str, names: Mapping[str, str]) -> str:
    return f" <code>{escape(key)}</code>" if names.get(key) else ""


def _seconds(summary: RunSummary) -> str:
    columns = (Column("Phase"), Column("Time", "number"), _BAR)
    parts = [_shares(columns, summary.phase_seconds, summary.seconds)]
    if summary.stage_seconds:
        columns = (Column("Stage of conversion, summed over all workers"), Column("Time", "number"), _BAR)
        parts.append(_shares(columns, summary.stage_seconds, sum(summary.stage_seconds.values())))
    return "\n".join(part for part in parts if part)


def _shares(columns: tuple[Column, ...], seconds: Mapping[str, float], whole: float) -> str:
    if not seconds:
        return ""
    return table(
        columns, ((name, duration(value), bar(value / whole if whole else 0)) for name, value in seconds.items())
    )


def _opening(summary: RunSummary) -> str:
    text = shown_paths.how_to_open(summary)
    files_told = "catalog.parquet has one row for every file; zarr, xarray or Dask alone can open images.zarr."
    return f"<pre><code>{escape(text)}</code></pre>\n{note(files_told)}"


def _versions(summary: RunSummary) -> str:
    told: Mapping[str, Any] = summary.versions
    return note(", ".join(f"{package} {version}" for package, version in told.items())) if told else ""
