"""What a run knows before the first frame is decoded, and how long its phases took."""

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
    """What the stages of a run share."""

    config: RunConfig
    out: OutputDir
    executor: Executor
    progress: Progress
    clock: Clock = field(default_factory=Clock)


@dataclass(frozen=True, slots=True)
class Unfit:
    """A file that holds nothing to store, while an image keeps what it held before: it failed, whatever its row says."""

    segment: int
    """Where its row is."""
    row: int
    source: str
    status: str
    """What its row says: ``failed`` or ``rejected``."""
    reason: str


@dataclass(frozen=True, slots=True)
class Prepared:
    """What is known before the first frame is decoded; :mod:`pipeline.runs.preparation` keeps it below ``OUT/plan``."""

    plan: Plan
    id: str
    """What the ledger calls the plan (:func:`pipeline.plan.digest`)."""
    settings: Mapping[str, Any]
    """The settings that decide what is stored (:func:`pipeline.runs.deciding_settings.deciding`)."""
    copies: tuple[Copy, ...] = ()
    counts: Mapping[tuple[str, str], int] = field(default_factory=dict)
    """``(status, reason)`` → number of files that hold no instance to store."""
    segments: tuple[int, ...] = ()
    """The scan's segments, in the order in which their files were found."""
    files: int = 0
    bytes: int = 0
    replaced: tuple[tuple[int, int], ...] = ()
    """Rows, by segment and row in it, for which later ones stand: the files were replaced."""
    stale: tuple[str, ...] = ()
    """Paths of images that earlier plans had and this one hasn't."""
    grown: tuple[str, ...] = ()
    """Paths of images that are made again, because files that belong to them have come or changed."""
    unopened: tuple[str, ...] = ()
    """Of what is only planned: sources that hold nothing but archives and empty files; not kept."""
    added: int = 0
    """Files that came since the plan before, or took the place of others that held no image."""
    changed: int = 0
    """Files that held images and have changed since the plan before."""
    salt: str = ""
    """The key, in hexadecimal digits, of the hashes that tell patients apart; of an earlier version's plan, empty."""
    standing: Plan = field(default_factory=lambda: Plan((), (), ()))
    """Images that the plan before had and this one hasn't, as they stand until those that follow them are whole."""
    kept: tuple[str, ...] = ()
    """Paths of images that stay as they are until one of their files changes again: they could not be made anew."""
    unfit: tuple[Unfit, ...] = ()

    @property
    def standing_id(self) -> str:
        """What the ledger calls the standing images' own records."""
        return digest(self.standing, self.id)

    def replaced_instances(self) -> set[int]:
        """Return the positions of the instances whose files are others now."""
        rows = set(self.replaced)
        return {i for i, one in enumerate(self.plan.instances) if (one.segment, one.row) in rows} if rows else set()
