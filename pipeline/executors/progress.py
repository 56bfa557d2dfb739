"""What a run tells whoever watches it."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Receives a run's progress; called from one thread only, cheap enough to be called for every result."""

    def phase(self, name: str, total: int | None) -> None:
        """Begin a phase: ``scan`` (total in files), ``plan``, ``convert`` (total in frames) or ``finalise`` (images).

        `total` is None where it isn't known; a later call with the same name corrects it without starting anew.
        """

    def advance(self, *, files: int = 0, frames: int = 0, images: int = 0, bytes: int = 0, failures: int = 0) -> None:  # noqa: A002  the word of the summary
        """Add what was done since the last call: `files` scanned, `frames` stored, `images` finalised, decoded
        `bytes`, and `failures` (instances that failed).
        """  # noqa: D205  one sentence

    def message(self, text: str) -> None:
        """Say something worth a line of its own, such as the dashboard's address."""

    def close(self) -> None:
        """Stop showing anything; called once, also after an error."""


class NullProgress:
    """Shows nothing."""

    def phase(self, name: str, total: int | None) -> None:
        """Ignore it."""

    def advance(self, *, files: int = 0, frames: int = 0, images: int = 0, bytes: int = 0, failures: int = 0) -> None:  # noqa: A002  the word of the summary
        """Ignore it."""

    def message(self, text: str) -> None:
        """Ignore it."""

    def close(self) -> None:
        """Do nothing."""
