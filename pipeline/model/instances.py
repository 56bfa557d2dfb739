"""What the scan finds: files, and the instances in them."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.model.compact import Compact
from pipeline.model.frame_index import PixelFormat

Vector = tuple[float, float, float]
UNKNOWN = "unknown"
"""Stands for a UID that a file doesn't have, in front of whatever tells such files apart."""


@dataclass(frozen=True, slots=True)
class SourceFile(Compact):
    """One file found, before it is opened."""

    source: str
    """Absolute path or URL."""
    size: int
    """Bytes; -1 where it couldn't be told."""
    mtime_ns: int = 0
    etag: str = ""
    """What an object store calls this version of the object; empty for local files."""
    problem: str = ""
    """A reason code where it can't be opened at all (``file_not_found``, ``not_a_regular_file``, …)."""


@dataclass(frozen=True, slots=True)
class Instance(Compact):
    """One SOP instance to be stored: the compact record that the driver keeps (the full row is in its segment)."""

    source: str
    size: int
    mtime_ns: int
    study_instance_uid: str
    series_instance_uid: str
    sop_instance_uid: str
    modality: str
    transfer_syntax_uid: str
    format: PixelFormat
    number_of_frames: int
    encoded_bytes: int
    """Bytes of the pixel data element's value: what a conversion has to read."""
    segment: int
    """The scan segment that holds the full row …"""
    row: int
    """… and the row in it."""
    frame_index: bytes = b""
    """The serialised frame index where it is small, else empty: then it lies in `frame_index_file`."""
    frame_index_file: str = ""
    """Path below the output directory."""
    position: Vector | None = None
    """Image Position (Patient) of a single-frame instance, mm."""
    orientation: tuple[Vector, Vector] | None = None
    """Image Orientation (Patient): row and column direction cosines."""
    instance_number: int | None = None
    image_type: str = ""
    """Image Type, joined with backslashes."""
    etag: str = ""
    """What an object store calls this version of the object; empty for local files."""
    sha256: str = ""
    """Of the whole file, in hexadecimal digits, where it was asked for."""
    patient: bytes = b""
    """Keyed hashes of what tells its patient (:mod:`pipeline.model.patient_hashes`); empty where nothing does."""

    @property
    def known_uid(self) -> str:
        """SOP Instance UID, empty where the file has none."""
        return "" if self.sop_instance_uid.startswith(UNKNOWN) else self.sop_instance_uid


@dataclass(frozen=True, slots=True)
class Copy:
    """A file that is byte for byte another one, which is stored in its place."""

    segment: int
    """Where its row is, as an instance's."""
    row: int
    source: str
    kept: str
    """The source that is stored."""


@dataclass(frozen=True, slots=True)
class Failure(Compact):
    """Why an instance or an image could not be stored."""

    reason: str
    message: str
    frame: int | None = None
    salvaged: bool = False
    """Whether frames of the instance that could be decoded count all the same (``decode.salvage``)."""
