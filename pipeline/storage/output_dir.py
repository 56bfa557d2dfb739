"""The output directory and the names of all its entries; no other module spells these names."""

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
"""End of the names of incomplete shards."""
UNFINISHED = (PARTIAL, PART)
"""Ends of the names of incomplete files: of shards, and of all others."""
_ASIDE = "aside"
_PLAN_SEAL = "plan.json"
_SEGMENTS, _SCANNED, _FRAMES = "segments", "scanned", "frames"
_LEDGER_SEGMENT = re.compile(rf"([0-9]{{6,18}}){re.escape(LINES)}")
_PARTITION_LOCK = re.compile(r"partition-.*\.lock", re.DOTALL)


@dataclass(frozen=True, slots=True)
class OutputDir:
    """An output directory, held as the text of its path or URL, so that it travels to workers.

    A place uses the storage options that are current when it is requested. Only methods that list folders read anything.
    """

    name: str
    """The path or URL, as messages show it."""

    IMAGES: ClassVar = "images.zarr"
    CATALOG: ClassVar = "catalog.parquet"
    IMAGE_TABLE: ClassVar = "images.parquet"
    PLAN: ClassVar = "plan"
    LEDGER: ClassVar = "ledger"
    REPORT_JSON: ClassVar = "report.json"
    REPORT_HTML: ClassVar = "report.html"
    RUN_FILE: ClassVar = "run.yaml"
    VERDICTS: ClassVar = "verify.parquet"
    VERIFY_SUM: ClassVar = "verify.json"
    OURS: ClassVar = (
        IMAGES,
        CATALOG,
        IMAGE_TABLE,
        PLAN,
        LEDGER,
        REPORT_JSON,
        REPORT_HTML,
        RUN_FILE,
        VERDICTS,
        VERIFY_SUM,
    )
    """All entries that a run or a verification makes directly in an output directory."""
    RUN_LOCK: ClassVar = "run.lock"
    """The lock of the whole output."""
    WORK_LOCK: ClassVar = "work.lock"
    """The lock that tasks share."""
    LOCKS: ClassVar = (RUN_LOCK, WORK_LOCK)
    _TEMPORARY: ClassVar = re.compile(rf"\.({'|'.join(map(re.escape, OURS))})\..*part")

    @classmethod
    def of(cls, named: str | os.PathLike[str]) -> OutputDir:
        """Return the output directory of a user's path or URL, made absolute."""
        return cls(absolute(os.fspath(named)))

    def __str__(self) -> str:
        return self.name

    def __fspath__(self) -> str:
        return self.name

    def __reduce__(self) -> tuple[type[OutputDir], tuple[str]]:
        return OutputDir, (self.name,)

    @property
    def is_remote(self) -> bool:
        """Whether the output directory lies in an object store."""
        return is_remote(self.name)

    @property
    def root(self) -> Place:
        """The output directory itself; ConfigError for a URL that can't be used."""
        return place(self.name)

    def at(self, inner: str) -> Place:
        """Return the place of a relative name read from an output file; OutputError if the name leads out."""
        return self.root / inner

    def images(self, *, aside: bool = False) -> Place:
        """Return the Zarr store; with `aside`, the store for new images whose paths still hold old images."""
        return (self.aside if aside else self.root) / self.IMAGES

    def image(self, path: str, *, aside: bool = False) -> Place:
        """Return the group at a path, such as an image's; OutputError if the path leads out of the store."""
        return self.images(aside=aside) / path

    @property
    def aside(self) -> Place:
        """Folder of new images that readers don't see yet."""
        return self.plan / _ASIDE

    @property
    def replaced(self) -> Place:
        """Folder of old images that new ones have replaced, until it is removed."""
        return self.aside / "replaced"

    @property
    def catalog(self) -> Place:
        """The table with one row for each file found."""
        return self.root / self.CATALOG

    @property
    def image_table(self) -> Place:
        """The table with one row for each complete image."""
        return self.root / self.IMAGE_TABLE

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
        """The table of a verification, with a verdict on each file."""
        return self.root / self.VERDICTS

    @property
    def verify_sum(self) -> Place:
        """The numbers of a verification's summary."""
        return self.root / self.VERIFY_SUM

    @property
    def plan(self) -> Place:
        """The folder of the plan and of the scan's results."""
        return self.root / self.PLAN

    @property
    def plan_seal(self) -> Place:
        """The file that names the tables of the current plan."""
        return self.plan / _PLAN_SEAL

    def plan_numbers(self) -> list[str]:
        """Return the names of the folders with the tables of plans."""
        return [name for name in self.plan.children() if name.isdecimal()]

    def plan_tables(self, number: int | str) -> Place:
        """Return the folder of the tables of one plan."""
        return self.plan / str(number)

    def plan_table(self, number: int, table: str) -> Place:
        """Return one table of a plan."""
        return self.plan_tables(number) / f"{table}.parquet"

    @property
    def partitions(self) -> Place:
        """The file that divides the plan's tasks into partitions for array jobs."""
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
        """The folder of the scan tasks' results, kept until a plan exists."""
        return self.plan / _SCANNED

    def scanned_batch(self, number: int) -> Place:
        """Return the file with one scan task's result."""
        return self.scanned / _batch(number)

    @property
    def scan_salt(self) -> Place:
        """The key for hashing patients, kept until a plan exists."""
        return self.scanned / "salt"

    @classmethod
    def frame_index(cls, segment: int, row: int) -> str:
        """Return the name, relative to the output directory, of a file's frame index; `row` counts in the segment."""
        return f"{cls.PLAN}/{_FRAMES}/{segment:08d}-{row}.idx"

    @property
    def ledger(self) -> Place:
        """The folder of the ledger's segments and of the locks."""
        return self.root / self.LEDGER

    def lock(self, name: str = RUN_LOCK) -> Place:
        """Return the lock file of the output or of a part of it; a killed process leaves the file behind, unlocked."""
        return self.ledger / name

    @staticmethod
    def partition_lock(number: int) -> str:
        """Return the name of the lock of a partition."""
        return f"partition-{number}.lock"

    def partition_locks(self) -> list[str]:
        """Return the names of all lock files of partitions, held or left behind."""
        return [name for name in self.ledger.children() if _PARTITION_LOCK.fullmatch(name)]

    def ledger_files(self) -> list[Place]:
        """Return all files in the ledger's folder whose names end like those of segments."""
        return [self.ledger / name for name in self.ledger.children() if name.endswith(LINES)]

    def ledger_segments(self) -> list[str]:
        """Return the names of the ledger's segments in order of creation."""
        return [name for _, name in self._numbered_segments()]

    def next_ledger_segment(self) -> int:
        """Return a number above those of all segments of the ledger."""
        return max((number for number, _ in self._numbered_segments()), default=0) + 1

    def _numbered_segments(self) -> list[tuple[int, str]]:
        matches = ((_LEDGER_SEGMENT.fullmatch(name), name) for name in self.ledger.children())
        return sorted((int(match[1]), name) for match, name in matches if match)

    @classmethod
    def is_temporary(cls, name: str) -> bool:
        """Return whether a file directly in an output directory is one of ours that still has its temporary name."""
        return cls._TEMPORARY.fullmatch(name) is not None


def _batch(number: int) -> str:
    return f"{number:08d}.parquet"
