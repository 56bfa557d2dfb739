"""Show progress: as bars on a terminal, otherwise as plain lines."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic

from rich.console import Console
from rich.progress import BarColumn, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bars

from pipeline.cli.screen import Screen
from pipeline.cli.tally import Tally
from pipeline.executors import NullProgress, Progress
from pipeline.printable import printable
from pipeline.units import duration

LINE_SECONDS = 5.0
"""Seconds between two plain lines of one phase."""


@contextmanager
def show_progress(screen: Screen) -> Iterator[Progress]:
    """Show progress on the error stream while the block runs: bars, plain lines, or, if quiet, only what a person must know."""
    if screen.quiet:
        yield QuietProgress(screen.err)
        return
    bars = screen.err.is_terminal and not screen.err.is_dumb_terminal
    progress = TerminalProgress(screen.err) if bars else PlainProgress(screen.err)
    try:
        yield progress
        progress.done()
    finally:
        progress.close()


class QuietProgress(NullProgress):
    """Only the messages that say why a run stands still, or warn."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def message(self, text: str) -> None:
        """Print a line if it is a warning, or says what the run is waiting for."""
        if text.startswith(("Warning: ", "Waiting")):
            self._console.print(printable(text), soft_wrap=True, markup=False)


class PlainProgress:
    """Progress as lines: one when a phase ends, and one every few seconds before."""

    def __init__(self, console: Console, *, seconds: float = LINE_SECONDS) -> None:
        self._console = console
        self._seconds = seconds
        self._tally = Tally()
        self._printed = monotonic()

    def phase(self, name: str, total: int | None) -> None:
        """End the current phase, and begin the next."""
        if name != self._tally.name:
            self.done()
        self._tally.begin(name, total)

    def advance(self, *, files: int = 0, frames: int = 0, images: int = 0, bytes: int = 0, failures: int = 0) -> None:  # noqa: A002  the protocol's word
        """Count finished work, and print a line every few seconds."""
        self._tally.add(files, frames, images, bytes, failures)
        if monotonic() - self._printed >= self._seconds:
            self.message(self._tally.line())

    def message(self, text: str) -> None:
        """Print a line."""
        self._printed = monotonic()
        self._console.print(printable(text), soft_wrap=True, markup=False)

    def done(self) -> None:
        """Print the line that ends the current phase."""
        if self._tally.name:
            self.message(self._tally.ended())

    def close(self) -> None:
        """Do nothing: printed lines stay."""


class TerminalProgress:
    """Progress as one bar for each phase."""

    def __init__(self, console: Console) -> None:
        self._tally = Tally()
        self._bars = Bars(
            SpinnerColumn(finished_text="[green]✓[/]"),
            TextColumn("{task.description:<9}"),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[words]}"),
            TimeElapsedColumn(),
            TextColumn("[dim]{task.fields[left]}[/]"),
            console=console,
        )
        self._task: TaskID | None = None
        self._bars.start()

    def phase(self, name: str, total: int | None) -> None:
        """Finish the current bar, and show the next."""
        if name != self._tally.name:
            self.done()
        if self._tally.begin(name, total) or self._task is None:
            self._task = self._bars.add_task(name, total=total, words="", left="")
        self._show()

    def advance(self, *, files: int = 0, frames: int = 0, images: int = 0, bytes: int = 0, failures: int = 0) -> None:  # noqa: A002  the protocol's word
        """Count finished work, and show it."""
        self._tally.add(files, frames, images, bytes, failures)
        self._show()

    def message(self, text: str) -> None:
        """Print a line above the bars."""
        self._bars.console.print(printable(text), soft_wrap=True, markup=False, highlight=False)

    def done(self) -> None:
        """Show that the current phase has ended normally."""
        if self._task is not None:
            done = self._tally.done or 1
            self._bars.update(self._task, total=done, completed=done, left="")

    def close(self) -> None:
        """Leave the bars on the screen as they are."""
        self._bars.stop()

    def _show(self) -> None:
        if self._task is not None:
            left = self._tally.left()
            self._bars.update(
                self._task,
                total=self._tally.total,
                completed=self._tally.done,
                words=", ".join(self._tally.words()),
                left="" if left is None else f"{duration(left)} left",
            )
