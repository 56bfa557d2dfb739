"""The output of commands, and how errors become messages and exit codes."""

from __future__ import annotations

import functools
import logging
import os
import sys
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import IO, Any, Concatenate, ParamSpec, cast

import click
from rich.console import Console, ConsoleOptions, OverflowMethod, RenderableType
from rich.markup import escape
from rich.segment import Segment
from rich.text import Text

from pipeline.cli.interrupts import Interrupted, end_now, heed_signals
from pipeline.cli.streams import Stream, allow_files
from pipeline.errors import FAULT, FILES_FAILED, SURROUNDINGS, PipelineError, foreign_text
from pipeline.printable import make_logs_printable, printable, printable_lines
from pipeline.storage import as_resource_error, check_address_space

P = ParamSpec("P")

INTERRUPTED = 130
_GOING_ON = frozenset({"convert", "run", "resume", "init", "convert_partition", "finalize"})
_GOES_ON, _AGAIN = "the same command goes on", "give the same command again"
_PLAIN_WIDTH = 160
"""Columns if the output isn't a terminal: wide enough that tables keep their lines."""


class PipeConsole(Console):
    """A console that survives the end of its reader, and escapes foreign text that a terminal would obey.

    ``dcm2zarr … | head`` ends quietly, with the run's own exit code. rich prints its colours and cursor movements as
    control segments; all other output goes through :meth:`render`.
    """

    def __init__(self, *, file: Any, **options: Any) -> None:
        self.stream = Stream(file)
        super().__init__(highlight=False, emoji=False, file=cast(IO[str], self.stream), **options)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Yield the segments to print, with control characters in their text escaped."""
        for segment in super().render(renderable, options):
            text = segment.text if segment.control else printable_lines(segment.text)
            yield segment if text == segment.text else Segment(text, segment.style)

    def on_broken_pipe(self) -> None:
        """Discard the rest of the output."""
        self.quiet = True
        os.dup2(os.open(os.devnull, os.O_WRONLY), self.file.fileno())


@dataclass(frozen=True, slots=True)
class Screen:
    """The two streams, and how much to print."""

    out: PipeConsole
    err: PipeConsole
    verbose: int = 0
    quiet: bool = False

    @classmethod
    def make(cls, *, verbose: int, quiet: bool) -> Screen:
        """Make a screen of the current standard streams."""
        return cls(_console(sys.stdout), _console(sys.stderr), verbose, quiet)

    @property
    def width(self) -> int:
        """Columns of the output."""
        return self.out.width

    def show(self, *parts: RenderableType) -> None:
        """Print results, unless quiet: lines with markup, or objects that rich draws."""
        if not self.quiet:
            for part in parts:
                self.out.print(printable(part) if isinstance(part, str) else part)

    def final(self, *lines: str) -> None:
        """Print the last lines, also when quiet."""
        for line in lines:
            self.text(printable(line))

    def text(self, text: str) -> None:
        """Print text for other programs: no colour, no wrapping."""
        self.out.print(text, soft_wrap=True, markup=False, highlight=False)

    def error(self, message: str) -> None:
        """Print an error."""
        self.err.print(f"[bold red]error:[/] {escape(message)}", soft_wrap=True, highlight=False)

    def closing(self, code: int) -> int:
        """Return the exit code of a command that has printed everything: another code if standard output lost some."""
        lost = self.out.stream.settle()
        if not lost or code not in {0, FILES_FAILED}:
            return code
        self.error(f"standard output can't be written: {lost}; the work is done, but a part of the output is lost")
        return SURROUNDINGS


def plain(value: object, style: str = "", overflow: OverflowMethod | None = None) -> Text:
    """Return a foreign value as one line of text that rich shows literally, with control characters escaped."""
    return Text(printable(str(value)), style=style, overflow=overflow)


def _console(stream: Any) -> PipeConsole:
    if hasattr(stream, "reconfigure"):
        stream.reconfigure(errors="backslashreplace")  # file names may not fit the terminal's encoding
    console = PipeConsole(file=stream)
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console.width = _PLAIN_WIDTH
    return console


def guarded(action: Callable[Concatenate[Screen, P], int]) -> Callable[..., None]:
    """Give a command its screen, and turn its exceptions into a message and an exit code."""

    @functools.wraps(action)
    def command(*args: Any, verbose: int, quiet: bool, **options: Any) -> None:
        if verbose and quiet:
            raise click.UsageError("-v and -q exclude each other")
        screen = Screen.make(verbose=verbose, quiet=quiet)
        _quieten(verbose)
        allow_files()
        hint = _GOES_ON if action.__name__ in _GOING_ON else _AGAIN

        def checked() -> int:
            check_address_space()
            return action(screen, *args, **options)

        code = _code(screen, checked, hint)
        sys.exit(screen.closing(code))

    return command


def _code(screen: Screen, action: Callable[[], int], interrupted: str) -> int:
    try:
        with heed_signals():
            return action()
    except Interrupted as stop:
        screen.error(f"interrupted; {interrupted}")
        end_now(stop.exit_code)
    except KeyboardInterrupt:
        screen.error(f"interrupted; {interrupted}")
        return INTERRUPTED
    # the last resort: a fault of this program is shown in one line, and in full with -v
    except Exception as error:  # noqa: BLE001
        return _report_error(screen, error, has_catalog=interrupted != _GOES_ON)


def _report_error(screen: Screen, error: Exception, *, has_catalog: bool) -> int:
    """Print an error, and return the exit code of the command."""
    error = as_resource_error(error) or error
    if isinstance(error, PipelineError):
        screen.error(str(error))
        # for a run, 1 promises that the catalog names files
        return error.exit_code if has_catalog or error.exit_code != FILES_FAILED else FAULT
    if screen.verbose:
        screen.err.print_exception()
    if isinstance(error, OSError):  # a disk, a network, the temporary folder: the user can repair it and run again
        message = f"{error.filename}: {error.strerror}" if error.filename and error.strerror else str(error)
        screen.error(printable(message))
        return SURROUNDINGS
    hint = "" if screen.verbose else " (run again with -v for the traceback)"
    screen.error(printable(f"unexpected {foreign_text(error)}{hint}"))
    return FAULT


def _quieten(verbose: int) -> None:
    """Keep the libraries quiet: pydicom's warnings quote header values, which can identify a patient."""
    handler = logging.StreamHandler()
    handler.setLevel(logging.DEBUG if verbose > 1 else logging.ERROR)
    handler.addFilter(lambda record: not record.name.startswith("pydicom"))
    logging.basicConfig(level=handler.level, format="%(name)s: %(message)s", handlers=[handler])
    make_logs_printable()
    warnings.simplefilter("ignore")
    os.environ.setdefault("PYTHONWARNINGS", "ignore")  # for worker processes
