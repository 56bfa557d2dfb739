"""The output of a command at the end of a run."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import RenderableType
from rich.markup import escape
from rich.padding import Padding

from pipeline.cli.screen import Screen, plain
from pipeline.cli.terminal_tables import reasons_table
from pipeline.report import STATUSES, RunSummary, describe_earlier_runs, throughput, verdict
from pipeline.storage import OutputDir
from pipeline.units import counted, duration, number, ratio, size

SOME_FAILURES = 10
SOME_UNREAD = 3
_UNREAD = {"archive": "archive", "empty_file": "empty file"}
"""Reason of files that aren't looked into → their noun."""


def show_summary(screen: Screen, summary: RunSummary) -> None:
    """Print the outcome of a run: counts by reason, figures, failures, and how to open the result."""
    screen.show("", reasons_table(summary.status_counts), "", *_figures(summary), *_failures(summary, screen.verbose))
    screen.show(*_partly_stored(summary, screen.verbose))
    screen.show("", "Open the result in Python:", *(_indented(line, 4) for line in summary.how_to_open().splitlines()))
    screen.show(f"Report: {escape(str(OutputDir(summary.out).report_html))}", "")
    screen.final(*final_lines(summary))


def _figures(summary: RunSummary) -> Iterable[RenderableType]:
    totals, speed = summary.totals, throughput(summary)
    if summary.unchanged:
        yield "Nothing to do: earlier runs did everything, and nothing has changed since. Nothing was written."
    yield from map(escape, (*(() if summary.unchanged else describe_earlier_runs(summary)), *summary.remarks))
    pace = f", {size(speed['decoded_bytes_per_second'])}/s decoded" if speed and totals.frames else ""
    complete = sum(image.status == "complete" for image in summary.images)
    stored = "" if totals.stored_bytes is None else f" → {size(totals.stored_bytes)} on disk ({ratio(totals.ratio)})"
    yield f"{counted(summary.files, 'file')}, {size(summary.file_bytes)}, in {duration(summary.seconds)}{pace}"
    yield (
        f"{counted(complete, 'image')}, {counted(totals.frames, 'frame')}: "
        f"{size(totals.encoded_bytes)} encoded → {size(totals.decoded_bytes)} decoded{stored}"
    )


def _failures(summary: RunSummary, verbose: int) -> Iterable[RenderableType]:
    failed = summary.count("failed")
    if not failed:
        return
    shown = summary.failures if verbose else summary.failures[:SOME_FAILURES]
    yield ""
    yield f"[red]Failed:[/]{_first_of(len(shown), failed)}"
    for failure in shown:
        yield _indented(failure.source, 2)
        yield from (_indented(line, 4) for line in f"{failure.reason}: {failure.text}".splitlines())


def _partly_stored(summary: RunSummary, verbose: int) -> Iterable[RenderableType]:
    """Yield the converted files that hold more than their stored frames."""
    if not (total := summary.partly_stored_files):
        return
    shown = summary.partly_stored if verbose else summary.partly_stored[:SOME_FAILURES]
    yield ""
    yield f"[yellow]Not everything is stored:[/]{_first_of(len(shown), total)}"
    for line in shown:
        yield _indented(line.source, 2)
        yield _indented(line.text, 4)


def _first_of(shown: int, total: int) -> str:
    return "" if shown == total else f" (the first {shown} of {number(total)})"


def _indented(text: str, columns: int) -> Padding:
    return Padding(plain(text, overflow="fold"), (0, 0, 0, columns), expand=False)


def final_lines(summary: RunSummary) -> list[str]:
    """Return the last lines: the counts and the output, the files that weren't looked into, the exit code and its meaning."""
    counts = ", ".join(f"{number(summary.count(status))} {status}" for status in STATUSES)
    return [f"{counts} → {summary.out}", *_unread(summary), verdict(summary)]


def _unread(summary: RunSummary) -> list[str]:
    """Return a line about archives and empty files, with the first names; an empty list if the run found neither."""
    numbers = {noun: summary.status_counts.get(("rejected", reason), 0) for reason, noun in _UNREAD.items()}
    told = " and ".join(counted(count, noun) for noun, count in numbers.items() if count)
    if not told:
        return []
    names = ", ".join(line.source for line in summary.unread[:SOME_UNREAD])
    more = ", …" if sum(numbers.values()) > SOME_UNREAD else ""
    hint = ": unpack archives first, and run again" if numbers["archive"] else ""
    alone = f" Nothing else is in {', '.join(summary.unopened)}." if summary.unopened else ""
    return [f"Not looked into: {told} ({names}{more}){hint}.{alone}"]
