"""Watches, which record whether a thread is inside a frame, and since when."""

from __future__ import annotations

from time import monotonic


class Watch:
    """Shows other threads how long the current frame has taken.

    Costs two assignments per frame, so that every conversion can be watched.
    """

    def __init__(self) -> None:
        self.since: float | None = None

    def begin(self) -> None:
        """Start the time of a frame or header."""
        self.since = monotonic()

    def end(self) -> None:
        """End the time of a frame or header; what follows, such as writing, isn't limited."""
        self.since = None

    def overdue(self, seconds: float) -> bool:
        """Return whether the current frame has taken longer than `seconds`."""
        since = self.since
        return since is not None and monotonic() - since > seconds
