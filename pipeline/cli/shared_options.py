"""Options that several commands share."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

import click

from pipeline.cli.streams import discard, keep_standard_descriptors
from pipeline.errors import SURROUNDINGS
from pipeline.printable import printable

F = TypeVar("F", bound=Callable[..., Any])


class Commands(click.Group):
    """Commands whose usage errors quote arguments without characters that a terminal would obey."""

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """Run a command line."""
        keep_standard_descriptors()
        try:
            return super().main(*args, **kwargs)
        except OSError as error:  # commands handle their own errors: here help or version couldn't be printed
            discard(sys.stdout)
            with suppress(OSError):
                click.echo(f"error: standard output can't be written: {error.strerror or error}", err=True)
            sys.exit(SURROUNDINGS)

    def make_context(self, *args: Any, **kwargs: Any) -> click.Context:
        """Parse the arguments before the command."""
        with _printable_errors():
            return super().make_context(*args, **kwargs)

    def invoke(self, ctx: click.Context) -> Any:
        """Parse the command's own arguments, and run it."""
        with _printable_errors():
            return super().invoke(ctx)


@contextmanager
def _printable_errors() -> Iterator[None]:
    try:
        yield
    except click.ClickException as error:
        error.message = printable(error.message)  # type: ignore[misc]  # nothing else tells what show() shows
        raise


def codes() -> str:
    """Return the meanings of the exit codes, for every command's help."""
    return (
        "Exit codes: 0 nothing failed; 1 files failed, or a result has a problem; 2 usage or configuration; "
        "3 the surroundings failed (disk, permission, another run, scheduler, network): repair the cause and run again; "
        "70 a fault of dcm2zarr; 130 and 143 after Ctrl-C and SIGTERM. See docs/exit-codes.md."
    )


def common(command: F) -> F:
    """Add ``-v`` and ``-q``."""
    verbose = click.option(
        "-v", "--verbose", count=True, help="Print more: every failure, every image; -vv: the libraries' logs too."
    )
    return verbose(
        click.option("-q", "--quiet", is_flag=True, help="Only errors, warnings and the final line.")(command)
    )


def overriding(command: F) -> F:
    """Add ``--set``."""
    return click.option(
        "--set",
        "settings",
        multiple=True,
        metavar="KEY=VALUE",
        help="Set any value: output.codec.clevel=5. Repeatable.",
    )(command)


def trusting(command: F) -> F:
    """Add ``--trust-output``."""
    return click.option(
        "--trust-output",
        "trusting",
        is_flag=True,
        help="Read the files that the plan in OUT names, even if others can write OUT (docs/security.md).",
    )(command)


def configured(command: F) -> F:
    """Add ``--config`` and ``--set``."""
    own = click.option(
        "--config",
        metavar="CONFIG",
        help="Use your own configuration instead of run.yaml in OUT, if others can write OUT.",
    )
    return own(overriding(command))


def overwriting(command: F) -> F:
    """Add ``--overwrite``."""
    return click.option(
        "--overwrite",
        is_flag=True,
        help="Replace an earlier result in the output directory instead of going on from it.",
    )(command)
