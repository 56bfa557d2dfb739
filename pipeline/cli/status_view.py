"""The output of ``dcm2zarr status``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from rich.markup import escape
from rich.table import Table

from pipeline.cli.screen import Screen
from pipeline.cli.terminal_tables import add, grid, reasons_table
from pipeline.runs import Status
from pipeline.units import counted, duration, number, size

_PHASES = {"scan": "scanning, there is no plan yet", "convert": "converting", "finished": "finished"}


def show_status(screen: Screen, status: Status) -> int:
    """Print the state of a run, and return the exit code: 1 if files failed or the run died before its end, else 0."""
    screen.show("", _work(status), "", reasons_table(status.files), "", *_life(status), *_partitions(status), "")
    dead = not status.alive and status.phase != "finished"
    verdict = [f"{counted(status.failed, 'file')} failed" if status.failed else "nothing failed"]
    if dead:
        verdict.append(f"no process is working on it: {_next_step(status)}")
    code = int(bool(status.failed) or dead)
    screen.final(f"{status.out}: {_PHASES[status.phase]}. Exit code {code}: {', '.join(verdict)}.")
    return code


def _work(status: Status) -> Table:
    table = grid(("",), ("Done", "Of", "Left", "%"))
    for name, amount in status.work.items():
        shown = size if name == "bytes" else number
        share = 100.0 if not amount.total else 100 * amount.done / amount.total
        title = "decoded" if name == "bytes" else name
        left = shown(max(amount.total - amount.done, 0))
        add(table, title, shown(amount.done), shown(amount.total), left, f"{share:.1f}")
    return table


def _next_step(status: Status) -> str:
    parts = status.partitions
    if parts is None:
        return f"'dcm2zarr resume {status.out}' goes on"
    if parts.to_run:
        return f"run 'dcm2zarr convert-partition {status.out} K' for each K of {format_ranges(parts.to_run)}"
    return f"all partitions are done, 'dcm2zarr finalize {status.out}' completes the result"


def _partitions(status: Status) -> Iterator[str]:
    parts = status.partitions
    if parts is None:
        return
    yield f"Partitions done: {number(len(parts.done))} of {number(len(parts))}"
    if parts.under_way:
        yield f"Partitions under way: {format_ranges(parts.under_way)}"
    if parts.begun:
        yield f"Partitions begun, but no process is working on them: {format_ranges(parts.begun)}"
    if parts.missing:
        yield f"Partitions not begun: {format_ranges(parts.missing)}"


def format_ranges(numbers: Sequence[int]) -> str:
    """Return ascending numbers in the form that options of job arrays take: ``0-3,7``."""
    ranges: list[list[int]] = []
    for number_ in numbers:
        if ranges and ranges[-1][1] == number_ - 1:
            ranges[-1][1] = number_
        else:
            ranges.append([number_, number_])
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in ranges)


def _life(status: Status) -> list[str]:
    lines = [f"{size(status.stored_bytes)} of shards on the disk"] if status.work else []
    if status.progressed is not None:
        ago = (datetime.now(UTC) - status.progressed).total_seconds()
        when = status.progressed.astimezone().isoformat(sep=" ", timespec="seconds")
        lines.append(f"Last progress: {when}, {duration(max(ago, 0))} ago")
    if status.partitions is None or status.holder:
        lines.append(f"At work: {escape(str(status.holder))}" if status.holder else "At work: no process")
    return lines
