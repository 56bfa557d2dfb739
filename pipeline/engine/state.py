"""What a run knows before the first frame is decoded, and how long its phases took."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from time import perf_counter

from pipeline.engine.scanning import Scan
from pipeline.model import Plan


@dataclass(slots=True)
class Clock:
    """When the run began, and how long each phase took."""

    started: datetime = field(default_factory=lambda: datetime.now(UTC))
    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Time a phase."""
        begin = perf_counter()
        yield
        self.seconds[name] = perf_counter() - begin


@dataclass(frozen=True, slots=True)
class Prepared:
    """What is known before the first frame is decoded."""

    found: Scan
    copies: dict[int, int]
    """Byte-identical copies by position in `found.instances`, each with the position of the file that is kept."""
    plan: Plan
