"""What a run has done so far, as numbers and in words."""

from __future__ import annotations

from dataclasses import dataclass, field
from time import monotonic

from pipeline.units import counted, duration, number, size

UNITS = {"scan": "file", "plan": "", "convert": "frame", "finalise": "image", "verify": "frame", "compare": "frame"}
"""What each phase counts."""


@dataclass(slots=True)
class Tally:
    """One phase at a time; failures add up over all."""

    name: str = ""
    total: int | None = None
    files: int = 0
    frames: int = 0
    images: int = 0
    bytes: int = 0
    failures: int = 0
    started: float = field(default_factory=monotonic)

    def begin(self, name: str, total: int | None) -> bool:
        """Begin a phase, or correct the total of the one under way; returns whether it is another one."""
        self.total = total
        if name == self.name:
            return False
        self.name, self.started = name, monotonic()
        self.files = self.frames = self.images = self.bytes = 0
        return True

    def add(self, files: int, frames: int, images: int, size_in_bytes: int, failures: int) -> None:
        """Add what was done."""
        self.files += files
        self.frames += frames
        self.images += images
        self.bytes += size_in_bytes
        self.failures += failures

    @property
    def done(self) -> int:
        """What the phase counts."""
        return {"file": self.files, "frame": self.frames, "image": self.images}.get(UNITS.get(self.name, ""), 0)

    @property
    def seconds(self) -> float:
        """Since the phase began."""
        return monotonic() - self.started

    def left(self) -> float | None:
        """Return the seconds that are left at the pace so far, None where that can't be told."""
        if not self.total or not self.done:
            return None
        return self.seconds * max(self.total - self.done, 0) / self.done

    def words(self) -> list[str]:
        """Return the phase's progress in words, without its name and the time left."""
        unit = UNITS.get(self.name, "")
        told = []
        if unit and self.total is None:
            told.append(counted(self.done, unit))
        elif unit:
            told.append(f"{number(self.done)} of {counted(self.total or 0, unit)}")
        if self.images and unit != "image":
            told.append(counted(self.images, "image"))
        if self.bytes:
            told.append(f"{size(self.bytes / max(self.seconds, 1e-3))}/s")
        if self.failures and unit:
            told.append(f"{number(self.failures)} failed")
        return told

    def line(self) -> str:
        """Return one line for where no terminal is: ``convert: 120 of 240 frames, 85.2 MiB/s, 4.0 s left``."""
        left = self.left()
        return f"{self.name}: {', '.join(self.words() + ([f'{duration(left)} left'] if left is not None else []))}"

    def ended(self) -> str:
        """Return the line that ends the phase."""
        return f"{self.name} done in {duration(self.seconds)}{': ' if self.words() else ''}{', '.join(self.words())}"
