"""The speed of a conversion over time: sums over slices of time, never more than a few hundred."""

from __future__ import annotations

from dataclasses import dataclass, field
from time import monotonic

MOST_SLICES = 240


@dataclass(slots=True)
class Timeline:
    """Frames and bytes done over time; slices grow with the run, so that their number stays small."""

    seconds: float = 1.0
    """Length of a slice."""
    frames: list[int] = field(default_factory=list)
    """Frames stored, by slice."""
    bytes: list[int] = field(default_factory=list)
    """Bytes decoded, by slice."""
    started: float = field(default_factory=monotonic)

    def add(self, frames: int, size: int, now: float | None = None) -> None:
        """Count a task's `frames` and decoded bytes (`size`), done `now` (:func:`time.monotonic`)."""
        place = int(((monotonic() if now is None else now) - self.started) / self.seconds)
        while place >= MOST_SLICES:
            self.frames, self.bytes = _halve(self.frames), _halve(self.bytes)
            self.seconds *= 2
            place //= 2
        missing = [0] * (place + 1 - len(self.frames))
        self.frames += missing
        self.bytes += missing
        self.frames[place] += frames
        self.bytes[place] += size


def _halve(slices: list[int]) -> list[int]:
    return [sum(slices[place : place + 2]) for place in range(0, len(slices), 2)]
