"""What ``dcm2zarr status`` tells."""

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
    """Print where a run stands; returns 1 where files failed or it died before its end, else 0."""
    screen.show("", _work(status), "", reasons_table(status.files), "", *_life(status), *_partitions(status), "")
    dead = not status.alive and status.phase != "finished"
    told = [f"{counted(status.failed, 'file')} failed" if status.failed else "nothing failed"]
    if dead:
        told.append(f"nobody is at work on it: {_next_step(status)}")
    code = int(bool(status.failed) or dead)
    screen.final(f"{status.out}: {_PHASES[status.phase]}. Exit code {code}: {', '.join(told)}.")
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
        return f"'dcm2zarr convert-partition {status.out} K' is to be run, K being each of {runs(parts.to_run)}"
    return f"all partitions are done, 'dcm2zarr finalize {status.out}' completes it"


def _partitions(status: Status) -> Iterator[str]:
    parts = status.partitions
    if parts is None:
        return
    yield f"Partitions done: {number(len(parts.done))} of {number(len(parts))}"
    if parts.under_way:
        yield f"Partitions under way: {runs(parts.under_way)}"
    if parts.begun:
        yield f"Partitions begun, with nobody at work: {runs(parts.begun)}"
    if parts.missing:
        yield f"Partitions not begun: {runs(parts.missing)}"


def runs(numbers: Sequence[int]) -> str:
    """Return ascending numbers as arrays of jobs are given them: ``0-3,7``."""
    found: list[list[int]] = []
    for each in numbers:
        if found and found[-1][1] == each - 1:
            found[-1][1] = each
        else:
            found.append([each, each])
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in found)


def _life(status: Status) -> list[str]:
    lines = [f"{size(status.stored_bytes)} of shards on the disk"] if status.work else []
    if status.progressed is not None:
        ago = (datetime.now(UTC) - status.progressed).total_seconds()
        when = status.progressed.astimezone().isoformat(sep=" ", timespec="seconds")
        lines.append(f"Last progress: {when}, {duration(max(ago, 0))} ago")
    if status.partitions is None or status.holder:
        lines.append(f"At work: {escape(str(status.holder))}" if status.holder else "At work: nobody")
    return lines
