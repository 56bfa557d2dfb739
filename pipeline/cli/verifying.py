"""``dcm2zarr verify``: print the problems of a result, and which originals can be deleted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.markup import escape
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from pipeline.cli.array_job_commands import Given
from pipeline.cli.screen import Screen, plain
from pipeline.cli.terminal_progress import show_progress
from pipeline.cli.terminal_tables import grid
from pipeline.errors import OutputError
from pipeline.units import counted, duration, number, size
from pipeline.verify import CODES, REPAIRS, VERDICTS, Verification, write
from pipeline.verify import verify as run_verification

SOME_PROBLEMS = 20


def verify(
    screen: Screen,
    out: str,
    *,
    source: bool,
    sample: int | None,
    seed: int,
    cluster: Mapping[str, Any],
    given: Given,
) -> int:
    """Check a result, print its problems, and return the exit code."""
    with show_progress(screen) as progress:
        found = run_verification(
            out,
            source=source,
            sample=sample,
            seed=seed,
            config=given.loaded,
            trusting=given.trusting,
            cluster=cluster,
            progress=progress,
        )
    _show(screen, found)
    unwritten = _write(screen, found) if source else None
    code = unwritten.exit_code if unwritten else found.exit_code
    screen.show("")
    screen.final(f"{_verdict(found, code)}{'; the verdicts could not be written' if unwritten else ''}.")
    return code


def _show(screen: Screen, found: Verification) -> None:
    checked = f"{counted(found.images, 'image')}, {counted(found.frames, 'frame')} ({size(found.bytes)} decoded)"
    if found.source:
        checked += f", and {counted(found.compared_frames, 'frame')} of originals"
    screen.show("", f"{checked} checked in {duration(found.seconds)}")
    if found.counts:
        screen.show("", _problem_table(found), "")
        shown = found.problems if screen.verbose else found.problems[:SOME_PROBLEMS]
        for problem in shown:
            screen.show(Padding(plain(f"{problem.code}: {problem.where}: {problem.message}", overflow="fold"), (0, 2)))
        left = found.counts.total() - len(shown)
        if left:
            screen.show(f"  … and {counted(left, 'more problem')}{'' if screen.verbose else ' (-v shows them)'}")
    if found.source and found.verdicts:
        screen.show("", _verdict_table(found))


def _problem_table(found: Verification) -> Table:
    table = grid(("Problem",), ("Times",))
    table.add_column("What it means, and what to do", overflow="fold")
    for code, count in found.counts.most_common():
        table.add_row(Text(code, style="red"), number(count), Text(f"{CODES[code]}: {REPAIRS[code]}"))
    return table


def _verdict_table(found: Verification) -> Table:
    table = grid(("Verdict",), ("Files",))
    table.add_column("What it means", overflow="fold")
    for verdict, meaning in VERDICTS.items():
        if found.verdicts[verdict]:
            colour = {"equal": "green", "copy": "green", "unsound": "red", "partly_stored": "yellow"}.get(verdict, "")
            table.add_row(Text(verdict, style=colour), number(found.verdicts[verdict]), Text(meaning))
    return table


def _write(screen: Screen, found: Verification) -> OutputError | None:
    try:
        write(found)
    except OutputError as error:
        screen.error(str(error))
        return error
    screen.show("", f"The verdict on every file: {escape(str(found.out.verdicts))}")
    return None


def _verdict(found: Verification, code: int) -> str:
    wrong = f"{counted(found.counts.total(), 'problem')} found" if found.counts else ""
    if found.source:
        whole = "" if found.sample is None else f" looked at ({number(found.verdicts.total())} in all)"
        told = f"{number(found.deletable)} of {counted(found.files, 'file')}{whole} can be deleted"
        if found.rightly_gone:
            told += f", {number(found.rightly_gone)} are gone and were equal to what is stored when they were verified"
        told = f"{told}; {wrong}" if wrong else told
    elif wrong:
        told = wrong
    else:
        told = f"{'every file and frame' if found.sample is None else 'every file, and every frame looked at,'} is what was written"
    return f"{found.out}. Exit code {code}: {told}"
