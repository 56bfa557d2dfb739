"""``dcm2zarr verify``: what is wrong with a result, and which originals could go."""

from __future__ import annotations

from rich.markup import escape
from rich.padding import Padding
from rich.text import Text

from pipeline.cli.convert import cluster
from pipeline.cli.progress import watched
from pipeline.cli.screen import Screen
from pipeline.cli.tables import grid
from pipeline.report.units import counted, duration, number, size
from pipeline.verify import CODES, Verification
from pipeline.verify import verify as run_verification

SOME_PROBLEMS = 20


def verify(screen: Screen, out: str, *, sample: int | None, seed: int, kind: str | None, workers: str | None) -> int:
    """Check a result, tell what is wrong with it, and return the exit code."""
    with watched(screen) as progress:
        found = run_verification(out, sample=sample, seed=seed, cluster=cluster(kind, workers), progress=progress)
    _show(screen, found)
    return found.exit_code


def _show(screen: Screen, found: Verification) -> None:
    screen.show(
        "",
        f"{counted(found.images, 'image')}, {counted(found.frames, 'frame')} ({size(found.bytes)} decoded) checked in {duration(found.seconds)}",
    )
    if found.counts:
        table = grid(("Problem",), ("Times",))
        table.add_column("What it means", overflow="fold")
        for code, count in found.counts.most_common():
            table.add_row(Text(code, style="red"), number(count), Text(CODES[code]))
        screen.show("", table, "")
        shown = found.problems if screen.verbose else found.problems[:SOME_PROBLEMS]
        for problem in shown:
            screen.show(Padding(Text(f"{problem.code}: {problem.where}: {problem.message}", overflow="fold"), (0, 2)))
        left = found.counts.total() - len(shown)
        if left:
            screen.show(f"  … and {counted(left, 'more problem')}{'' if screen.verbose else ' (-v shows them)'}")
    screen.show("")
    screen.final(escape(_verdict(found)))


def _verdict(found: Verification) -> str:
    if found.sound:
        looked = "every file and frame is" if found.sample is None else "every file, and every frame looked at, is"
        return f"{found.out}. Exit code 0: {looked} what was written."
    return f"{found.out}. Exit code 1: {counted(found.counts.total(), 'problem')} found."
