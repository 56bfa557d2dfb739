"""The output directory, and every name below it: each stands here once, and nowhere else in the code."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import ClassVar

from pipeline.storage.any_place import Place
from pipeline.storage.growing import LINES
from pipeline.storage.local_place import PART
from pipeline.storage.places import place
from pipeline.storage.urls import absolute, is_remote

ZARR_JSON = "zarr.json"
"""A group's or an array's metadata document (Zarr v3 core, "Storage")."""
PARTIAL = ".partial"
"""End of the names of shards that aren't whole yet."""
UNFINISHED = (PARTIAL, PART)
"""Ends of the names of files that aren't whole yet, of shards and of all others."""
_ASIDE = "aside"
_PLAN_SEAL = "plan.json"
_SEGMENTS, _SCANNED, _FRAMES = "segments", "scanned", "frames"
_LEDGER_SEGMENT = re.compile(rf"([0-9]{{6,18}}){re.escape(LINES)}")
_PARTITION_LOCK = re.compile(r"partition-.*\.lock", re.DOTALL)


@dataclass(frozen=True, slots=True)
class OutputDir:
    """An output directory by its path or URL. It is a text and nothing more, and travels to workers as such.

    Places are reached with the storage options that hold where they are asked for. What lies there is for others to say:
    nothing is looked at here.
    """

    name: str
    """The path or URL, as messages say it."""

    IMAGES: ClassVar = "images.zarr"
    CATALOG: ClassVar = "catalog.parquet"
    PLAN: ClassVar = "plan"
    LEDGER: ClassVar = "ledger"
    REPORT_JSON: ClassVar = "report.json"
    REPORT_HTML: ClassVar = "report.html"
    RUN_FILE: ClassVar = "run.yaml"
    VERDICTS: ClassVar = "verify.parquet"
    VERIFY_SUM: ClassVar = "verify.json"
    OURS: ClassVar = (IMAGES, CATALOG, PLAN, LEDGER, REPORT_JSON, REPORT_HTML, RUN_FILE, VERDICTS, VERIFY_SUM)
    """All that a run or a verification leaves directly in an output directory."""
    RUN_LOCK: ClassVar = "run.lock"
    """The lock of the whole output."""
    WORK_LOCK: ClassVar = "work.lock"
    """The lock that tasks share."""
    LOCKS: ClassVar = (RUN_LOCK, WORK_LOCK)
    _TEMPORARY: ClassVar = re.compile(rf"\.({'|'.join(map(re.escape, OURS))})\..*part")

    @classmethod
    def of(cls, named: str | os.PathLike[str]) -> OutputDir:
        """Return the output directory that a user's text names, as every process understands the text."""
        return cls(absolute(os.fspath(named)))

    def __str__(self) -> str:
        return self.name

    def __fspath__(self) -> str:
        return self.name

    def __reduce__(self) -> tuple[type[OutputDir], tuple[str]]:
        return OutputDir, (self.name,)

    @property
    def is_remote(self) -> bool:
        """Whether it lies in an object store."""
        return is_remote(self.name)

    @property
    def root(self) -> Place:
        """The output directory itself; ConfigError for a URL that can't be used."""
        return place(self.name)

    def at(self, inner: str) -> Place:
        """Return what lies under a relative name that a file of the output gives; OutputError if the name leads out."""
        return self.root / inner

    def images(self, *, aside: bool = False) -> Place:
        """Return the Zarr store, or the store like it in which images are made while others stand at their paths."""
        return (self.aside if aside else self.root) / self.IMAGES

    def image(self, path: str, *, aside: bool = False) -> Place:
        """Return an image's group, or another group; OutputError for a path that leads out of the store."""
        return self.images(aside=aside) / path

    @property
    def aside(self) -> Place:
        """What holds the images made aside, out of readers' sight."""
        return self.plan / _ASIDE

    @property
    def replaced(self) -> Place:
        """What holds the images whose places new ones have taken, until all is removed."""
        return self.aside / "replaced"

    @property
    def catalog(self) -> Place:
        """The table with a row for each file found."""
        return self.root / self.CATALOG

    @property
    def run_file(self) -> Place:
        """The configuration of the run."""
        return self.root / self.RUN_FILE

    @property
    def report_json(self) -> Place:
        """The report for programs."""
        return self.root / self.REPORT_JSON

    @property
    def report_html(self) -> Place:
        """The report for people."""
        return self.root / self.REPORT_HTML

    @property
    def verdicts(self) -> Place:
        """The table of a verification: a verdict on each file."""
        return self.root / self.VERDICTS

    @property
    def verify_sum(self) -> Place:
        """What a verification found, in numbers."""
        return self.root / self.VERIFY_SUM

    @property
    def plan(self) -> Place:
        """The folder of the plan and of what the scan learned."""
        return self.root / self.PLAN

    @property
    def plan_seal(self) -> Place:
        """The file that names the tables of the plan that holds."""
        return self.plan / _PLAN_SEAL

    def plan_numbers(self) -> list[str]:
        """Return the names of the folders that hold the tables of plans."""
        return [name for name in self.plan.children() if name.isdecimal()]

    def plan_tables(self, number: int | str) -> Place:
        """Return the folder of the tables of one plan."""
        return self.plan / str(number)

    def plan_table(self, number: int, table: str) -> Place:
        """Return one table of a plan."""
        return self.plan_tables(number) / f"{table}.parquet"

    @property
    def partitions(self) -> Place:
        """How the plan's tasks are cut for array jobs."""
        return self.plan / "partitions.json"

    @property
    def segments(self) -> Place:
        """The folder of the scan's segments."""
        return self.plan / _SEGMENTS

    def segment(self, number: int) -> Place:
        """Return a segment: the full rows of a batch of files."""
        return self.segments / _batch(number)

    @property
    def scanned(self) -> Place:
        """The folder of what scan tasks returned, kept until there is a plan."""
        return self.plan / _SCANNED

    def scanned_batch(self, number: int) -> Place:
        """Return what is kept of one scan task."""
        return self.scanned / _batch(number)

    @property
    def scan_salt(self) -> Place:
        """The key of the hashes that tell patients apart, kept until there is a plan."""
        return self.scanned / "salt"

    @classmethod
    def frame_index(cls, segment: int, row: int) -> str:
        """Return the name, relative to the output directory, of the frame index of a file, by segment and row in it."""
        return f"{cls.PLAN}/{_FRAMES}/{segment:08d}-{row}.idx"

    @property
    def ledger(self) -> Place:
        """The folder of the ledger's segments and of the locks."""
        return self.root / self.LEDGER

    def lock(self, name: str = RUN_LOCK) -> Place:
        """Return the lock of the output, or of a part of it; a killed process leaves the file behind, unlocked."""
        return self.ledger / name

    @staticmethod
    def partition_lock(number: int) -> str:
        """Return the name of the lock of a partition."""
        return f"partition-{number}.lock"

    def partition_locks(self) -> list[str]:
        """Return the names of the locks that partitions have left, or hold."""
        return [name for name in self.ledger.children() if _PARTITION_LOCK.fullmatch(name)]

    def ledger_files(self) -> list[Place]:
        """Return the ledger's segments, and whatever else has the end of their names."""
        return [self.ledger / name for name in self.ledger.children() if name.endswith(LINES)]

    def ledger_segments(self) -> list[str]:
        """Return the names of the ledger's segments, in the order in which they were started."""
        return [name for _, name in self._numbered_segments()]

    def next_ledger_segment(self) -> int:
        """Return the number after the numbers of all segments of the ledger."""
        return max((number for number, _ in self._numbered_segments()), default=0) + 1

    def _numbered_segments(self) -> list[tuple[int, str]]:
        found = ((_LEDGER_SEGMENT.fullmatch(name), name) for name in self.ledger.children())
        return sorted((int(match[1]), name) for match, name in found if match)

    @classmethod
    def is_temporary(cls, name: str) -> bool:
        """Whether a file directly in an output directory is one of ours that hasn't taken its name yet."""
        return cls._TEMPORARY.fullmatch(name) is not None


def _batch(number: int) -> str:
    return f"{number:08d}.parquet"
