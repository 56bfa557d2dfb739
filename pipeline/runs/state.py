"""Everything that a run knows before the first frame is decoded, and the times of its phases."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from time import perf_counter
from typing import Any

from pipeline.config import RunConfig
from pipeline.executors import Executor, Progress
from pipeline.model import Copy, Plan
from pipeline.plan import digest
from pipeline.storage import OutputDir


@dataclass(slots=True)
class Clock:
    """When the run began, and how long each phase took."""

    started: datetime = field(default_factory=lambda: datetime.now(UTC))
    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Time a phase, or another part of it."""
        begin = perf_counter()
        yield
        self.seconds[name] = self.seconds.get(name, 0.0) + perf_counter() - begin


@dataclass(frozen=True, slots=True)
class Run:
    """Values that the stages of a run share."""

    config: RunConfig
    out: OutputDir
    executor: Executor
    progress: Progress
    clock: Clock = field(default_factory=Clock)


@dataclass(frozen=True, slots=True)
class Unfit:
    """A file with nothing to store while an image keeps its earlier content: it counts as failed, whatever its row says."""

    segment: int
    """The segment of its row."""
    row: int
    source: str
    status: str
    """Status in its row: ``failed`` or ``rejected``."""
    reason: str


@dataclass(frozen=True, slots=True)
class Prepared:
    """Everything known before the first frame is decoded; :mod:`pipeline.runs.preparation` saves it below ``OUT/plan``."""

    plan: Plan
    id: str
    """The plan's name in the ledger (:func:`pipeline.plan.digest`)."""
    settings: Mapping[str, Any]
    """The settings that decide what is stored (:func:`pipeline.runs.deciding_settings.deciding_settings`)."""
    copies: tuple[Copy, ...] = ()
    counts: Mapping[tuple[str, str], int] = field(default_factory=dict)
    """``(status, reason)`` → number of files that hold no instance to store."""
    segments: tuple[int, ...] = ()
    """The scan's segments, in the order in which their files were found."""
    files: int = 0
    bytes: int = 0
    replaced: tuple[tuple[int, int], ...] = ()
    """Rows, by segment and row in it, that later rows replace because the files were replaced."""
    stale: tuple[str, ...] = ()
    """Paths of images that were in earlier plans and aren't in this one."""
    grown: tuple[str, ...] = ()
    """Paths of images that are made again because files have joined them or changed."""
    unopened: tuple[str, ...] = ()
    """Only after planning without a run: sources that hold nothing but archives and empty files; not saved."""
    added: int = 0
    """Number of files that are new since the earlier plan, or replaced files without an image."""
    changed: int = 0
    """Number of files with an image that have changed since the earlier plan."""
    salt: str = ""
    """The key of the patients' hashes, in hexadecimal digits; empty in an earlier version's plan."""
    standing: Plan = field(default_factory=lambda: Plan((), (), ()))
    """Images of the earlier plan that aren't in this one, and stand until their replacements are whole."""
    kept: tuple[str, ...] = ()
    """Paths of images that stay as they are until one of their files changes again, because they can't be made again."""
    unfit: tuple[Unfit, ...] = ()

    @property
    def standing_id(self) -> str:
        """Name in the ledger of the standing images' own records."""
        return digest(self.standing, self.id)

    def replaced_instances(self) -> set[int]:
        """Return the positions of the instances whose files have been replaced."""
        rows = set(self.replaced)
        return (
            {i for i, instance in enumerate(self.plan.instances) if (instance.segment, instance.row) in rows}
            if rows
            else set()
        )
