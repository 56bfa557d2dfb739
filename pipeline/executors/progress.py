"""Interface for showing a run's progress."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Receives a run's progress. Called from one thread, for every result, so methods must be fast."""

    def phase(self, name: str, total: int | None) -> None:
        """Begin a phase: ``scan`` (total in files), ``plan``, ``convert`` (total in frames) or ``finalise`` (images).

        `total` is None if unknown; a later call with the same name corrects it without starting the phase again.
        """

    def advance(self, *, files: int = 0, frames: int = 0, images: int = 0, bytes: int = 0, failures: int = 0) -> None:  # noqa: A002  the word of the summary
        """Add the work since the last call: scanned `files`, stored `frames`, finalised `images`, decoded `bytes`, and
        `failures` (failed instances).
        """  # noqa: D205  one sentence

    def message(self, text: str) -> None:
        """Show a message in a separate line, such as the dashboard's address.

        One that a person must know begins with ``Warning:`` or ``Waiting``.
        """

    def close(self) -> None:
        """End the display; called once, also after an error."""


class NullProgress:
    """A progress that shows nothing."""

    def phase(self, name: str, total: int | None) -> None:
        """Do nothing."""

    def advance(self, *, files: int = 0, frames: int = 0, images: int = 0, bytes: int = 0, failures: int = 0) -> None:  # noqa: A002  the word of the summary
        """Do nothing."""

    def message(self, text: str) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""
