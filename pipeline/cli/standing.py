"""What ``dcm2zarr status`` tells."""

from __future__ import annotations

from datetime import UTC, datetime

from rich.markup import escape
from rich.table import Table

from pipeline.cli.screen import Screen
from pipeline.cli.tables import add, grid, reasons_table
from pipeline.engine import Status
from pipeline.report.units import counted, duration, number, size

_PHASES = {"scan": "scanning, there is no plan yet", "convert": "converting", "finished": "finished"}


def show_status(screen: Screen, status: Status) -> int:
    """Print where a run stands; returns 1 where files failed or it died before its end, else 0."""
    screen.show("", _work(status), "", reasons_table(status.files), "", *_life(status), "")
    dead = status.holder is None and status.phase != "finished"
    told = [f"{counted(status.failed, 'file')} failed" if status.failed else "nothing failed"]
    if dead:
        told.append(f"nobody is at work on it: 'dcm2zarr resume {status.out}' goes on")
    code = int(bool(status.failed) or dead)
    screen.final(escape(f"{status.out}: {_PHASES[status.phase]}. Exit code {code}: {', '.join(told)}."))
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


def _life(status: Status) -> list[str]:
    lines = [f"{size(status.stored_bytes)} of shards on the disk"] if status.work else []
    if status.progressed is not None:
        ago = (datetime.now(UTC) - status.progressed).total_seconds()
        when = status.progressed.astimezone().isoformat(sep=" ", timespec="seconds")
        lines.append(f"Last progress: {when}, {duration(max(ago, 0))} ago")
    lines.append(f"At work: {escape(str(status.holder))}" if status.holder else "At work: nobody")
    return lines
