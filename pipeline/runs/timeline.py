"""How fast a conversion was at any time: sums over slices of time, never more than a few hundred of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from time import monotonic

MOST_SLICES = 240


@dataclass(slots=True)
class Timeline:
    """What became done when; slices grow with the run, so that their number stays small."""

    seconds: float = 1.0
    """Length of a slice."""
    frames: list[int] = field(default_factory=list)
    """By slice, frames stored."""
    bytes: list[int] = field(default_factory=list)
    """By slice, bytes decoded."""
    started: float = field(default_factory=monotonic)

    def add(self, frames: int, size: int, now: float | None = None) -> None:
        """Count a task's `frames` and decoded bytes (`size`), done `now` (:func:`time.monotonic`)."""
        place = int(((monotonic() if now is None else now) - self.started) / self.seconds)
        while place >= MOST_SLICES:
            self.frames, self.bytes = _halved(self.frames), _halved(self.bytes)
            self.seconds *= 2
            place //= 2
        missing = [0] * (place + 1 - len(self.frames))
        self.frames += missing
        self.bytes += missing
        self.frames[place] += frames
        self.bytes[place] += size


def _halved(slices: list[int]) -> list[int]:
    return [sum(slices[place : place + 2]) for place in range(0, len(slices), 2)]
