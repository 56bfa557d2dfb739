"""The progress of a run, in numbers and in words."""

from __future__ import annotations

from dataclasses import dataclass, field
from time import monotonic

from pipeline.units import counted, duration, number, size

UNITS = {"scan": "file", "plan": "", "convert": "frame", "finalise": "image", "verify": "frame", "compare": "frame"}
"""Phase → the unit that it counts."""


@dataclass(slots=True)
class Tally:
    """The counts of the current phase; failures add up over all phases."""

    name: str = ""
    total: int | None = None
    files: int = 0
    frames: int = 0
    images: int = 0
    bytes: int = 0
    failures: int = 0
    started: float = field(default_factory=monotonic)

    def begin(self, name: str, total: int | None) -> bool:
        """Begin a phase, or correct the total of the current phase; return whether the phase is new."""
        self.total = total
        if name == self.name:
            return False
        self.name, self.started = name, monotonic()
        self.files = self.frames = self.images = self.bytes = 0
        return True

    def add(self, files: int, frames: int, images: int, size_in_bytes: int, failures: int) -> None:
        """Add finished work to the counts."""
        self.files += files
        self.frames += frames
        self.images += images
        self.bytes += size_in_bytes
        self.failures += failures

    @property
    def done(self) -> int:
        """The finished work, in the phase's unit."""
        return {"file": self.files, "frame": self.frames, "image": self.images}.get(UNITS.get(self.name, ""), 0)

    @property
    def seconds(self) -> float:
        """Seconds since the phase began."""
        return monotonic() - self.started

    def left(self) -> float | None:
        """Return the seconds that are left at the pace so far; None if they can't be estimated."""
        if not self.total or not self.done:
            return None
        return self.seconds * max(self.total - self.done, 0) / self.done

    def words(self) -> list[str]:
        """Return the phase's progress in words, without its name and the time left."""
        unit = UNITS.get(self.name, "")
        parts = []
        if unit and self.total is None:
            parts.append(counted(self.done, unit))
        elif unit:
            parts.append(f"{number(self.done)} of {counted(self.total or 0, unit)}")
        if self.images and unit != "image":
            parts.append(counted(self.images, "image"))
        if self.bytes:
            parts.append(f"{size(self.bytes / max(self.seconds, 1e-3))}/s")
        if self.failures and unit:
            parts.append(f"{number(self.failures)} failed")
        return parts

    def line(self) -> str:
        """Return the progress as one line: ``convert: 120 of 240 frames, 85.2 MiB/s, 4.0 s left``."""
        left = self.left()
        return f"{self.name}: {', '.join(self.words() + ([f'{duration(left)} left'] if left is not None else []))}"

    def ended(self) -> str:
        """Return the line that ends the phase."""
        return f"{self.name} done in {duration(self.seconds)}{': ' if self.words() else ''}{', '.join(self.words())}"
