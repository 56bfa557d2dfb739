"""Where a thread is: inside a frame, and since when."""

from __future__ import annotations

from time import monotonic


class Watch:
    """Tells whoever looks at it, from another thread, how long the frame at work has taken.

    Costs two assignments a frame, so that every conversion can be watched.
    """

    def __init__(self) -> None:
        self.since: float | None = None

    def begin(self) -> None:
        """Begin a frame (or a header): from here on, its time counts."""
        self.since = monotonic()

    def end(self) -> None:
        """End it: what follows, such as writing, is no decoder's business."""
        self.since = None

    def overdue(self, seconds: float) -> bool:
        """Whether the frame at work has taken longer than `seconds`."""
        since = self.since
        return since is not None and monotonic() - since > seconds
