"""The values that a run gives to its report: plain values, no headers, no patient data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import PurePath


@dataclass(frozen=True, slots=True)
class Totals:
    """Sums over a group of instances, such as those of one modality."""

    instances: int = 0
    frames: int = 0
    encoded_bytes: int = 0
    """Bytes of pixel data in the DICOM files."""
    decoded_bytes: int = 0
    """Bytes of the decoded frames."""
    stored_bytes: int | None = None
    """Bytes on disk; None if they aren't known for this group."""

    @property
    def ratio(self) -> float | None:
        """Decoded bytes over stored bytes."""
        return self.decoded_bytes / self.stored_bytes if self.stored_bytes else None


@dataclass(frozen=True, slots=True)
class ImageLine:
    """One image of the output."""

    path: str
    """Group path inside images.zarr."""
    shape: tuple[int, ...]
    dtype: str
    modality: str = ""
    decoded_bytes: int = 0
    stored_bytes: int | None = None
    status: str = "complete"
    """``complete`` or ``failed``."""

    @property
    def ratio(self) -> float | None:
        """Decoded bytes over stored bytes."""
        return self.decoded_bytes / self.stored_bytes if self.stored_bytes else None


@dataclass(frozen=True, slots=True)
class FailureLine:
    """One file or image that could not be stored."""

    source: str
    reason: str
    message: str
    frame: int | None = None
    """Frame index, from 0."""
    row: int | None = None
    """The file's row in ``catalog.parquet``, from 0."""

    @property
    def text(self) -> str:
        """The message, without the path of the file, and with the frame if one is at fault."""
        message = self.message.removeprefix(f"{self.source}: ")
        return message if self.frame is None else f"{message} (frame index {self.frame})"


@dataclass(frozen=True, slots=True)
class Pace:
    """The progress over time: sums over slices of time of equal length."""

    seconds: float = 1.0
    """Length of a slice."""
    frames: tuple[int, ...] = ()
    """Stored frames in each slice."""
    bytes: tuple[int, ...] = ()
    """Decoded bytes in each slice."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One frame of an image, small enough for a page."""

    frame: int
    """The frame's number in the image, from 0."""
    jpeg: bytes


@dataclass(frozen=True, slots=True)
class SampleImage:
    """Some frames of one image, for the contact sheet."""

    path: str
    caption: str
    """A description for people: modality, size, how the grey levels are shown."""
    samples: tuple[Sample, ...] = ()
    why_not: str = ""
    """Why no frame is shown."""
    patient: str = ""
    """Name and ID of the patient; empty unless ``report.patient_names`` asks for them."""


@dataclass(frozen=True, slots=True)
class ThisRun:
    """The work of the reporting run itself, without that of earlier runs."""

    tasks: int = 0
    frames: int = 0
    encoded_bytes: int = 0
    decoded_bytes: int = 0
    earlier_tasks: int = 0
    """Tasks that earlier runs had finished."""
    added_files: int = 0
    """Files that came since the output was complete last."""
    changed_files: int = 0
    """Stored files that have changed since then."""
    grown: tuple[str, ...] = ()
    """Paths of the images that were converted again, because files of theirs were added or changed."""


@dataclass(frozen=True, slots=True)
class RunSummary:
    """The summary of one run."""

    out: str
    """Absolute path of the output directory."""
    started: datetime
    finished: datetime
    status_counts: Mapping[tuple[str, str], int]
    """``(status, reason)`` to catalog rows; the reason of ``converted`` is empty."""
    files: int = 0
    """Files found."""
    file_bytes: int = 0
    """Size of the found files."""
    totals: Totals = field(default_factory=Totals)
    """Over all converted instances, whichever run converted them."""
    phase_seconds: Mapping[str, float] = field(default_factory=dict)
    """Wall time by phase: ``scan``, ``plan``, ``convert``, ``finalise``."""
    stage_seconds: Mapping[str, float] = field(default_factory=dict)
    """Time summed over all tasks, of earlier runs too, by stage: ``read``, ``decode``, ``write``."""
    images: tuple[ImageLine, ...] = ()
    remarks: tuple[str, ...] = ()
    """Sentences for the user about the run as a whole."""
    failures: tuple[FailureLine, ...] = ()
    """All failures, or the first ones: `status_counts` has the number, the catalog has them all."""
    partly_stored: tuple[FailureLine, ...] = ()
    """Converted files that hold more than their stored frames, or the first of them; their reason is empty."""
    partly_stored_files: int = 0
    """Number of all such files."""
    by_transfer_syntax: Mapping[str, Totals] = field(default_factory=dict)
    """Transfer Syntax UID to sums."""
    by_modality: Mapping[str, Totals] = field(default_factory=dict)
    transfer_syntax_names: Mapping[str, str] = field(default_factory=dict)
    """UID to its name, if known."""
    syntax_seconds: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """Transfer Syntax UID to time summed over all tasks, by stage."""
    pace: Pace = field(default_factory=Pace)
    """The pace of the convert phase."""
    this_run: ThisRun = field(default_factory=ThisRun)
    unread: tuple[FailureLine, ...] = ()
    """The first archives and empty files, which weren't looked into."""
    unopened: tuple[str, ...] = ()
    """Sources, as given, that hold only archives and empty files."""
    unchanged: bool = False
    """Whether there was nothing to do, and nothing was written."""
    sheet: tuple[SampleImage, ...] = ()
    """The contact sheet."""
    versions: Mapping[str, str] = field(default_factory=dict)
    """Package to version."""
    cluster: str = ""
    """The cluster of the run, for people: ``local, 2 workers``."""
    paths: bool = False
    """Whether the report may name folders and files (``report.paths``)."""

    @property
    def seconds(self) -> float:
        """Wall time of the whole run."""
        return max((self.finished - self.started).total_seconds(), 0.0)

    @property
    def exit_code(self) -> int:
        """0 if nothing failed and no source held only archives and empty files, else 1."""
        return int(self.count("failed") > 0 or bool(self.unopened))

    def count(self, status: str) -> int:
        """Count the catalog rows with a status."""
        return sum(number for (name, _), number in self.status_counts.items() if name == status)

    def how_to_open(self) -> str:
        """Return Python code that opens the result."""
        where = self.out if "://" in self.out else PurePath(self.out).as_posix()
        return f"import dcm2zarr\n\nimages = dcm2zarr.open({where!r})"
