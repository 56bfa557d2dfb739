"""Values that the scan finds: files, and the instances in them."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.model.compact import Compact
from pipeline.model.frame_index import PixelFormat

Vector = tuple[float, float, float]
UNKNOWN = "unknown"
"""Replaces a UID that a file lacks; a text that tells such files apart follows it."""


@dataclass(frozen=True, slots=True)
class SourceFile(Compact):
    """One file found, before it is opened."""

    source: str
    """Absolute path or URL."""
    size: int
    """Bytes; -1 if the size is unknown."""
    mtime_ns: int = 0
    etag: str = ""
    """The object store's tag of this version of the object; empty for local files."""
    problem: str = ""
    """A reason code if the file can't be opened at all (``file_not_found``, ``not_a_regular_file``, …)."""


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
    """Bytes of the pixel data element's value, which a conversion has to read."""
    segment: int
    """The scan segment that holds the full row …"""
    row: int
    """… and the row in it."""
    frame_index: bytes = b""
    """The serialised frame index if it is small; else empty, and the index lies in `frame_index_file`."""
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
    """The object store's tag of this version of the object; empty for local files."""
    sha256: str = ""
    """Of the whole file, in hexadecimal digits; empty if it wasn't asked for."""
    patient: bytes = b""
    """Keyed hashes of the patient's attributes (:mod:`pipeline.model.patient_hashes`); empty if the file has none."""

    @property
    def known_uid(self) -> str:
        """SOP Instance UID; empty if the file has none."""
        return "" if self.sop_instance_uid.startswith(UNKNOWN) else self.sop_instance_uid


@dataclass(frozen=True, slots=True)
class Copy:
    """A file with the same bytes as another one, which is stored in its place."""

    segment: int
    """The segment that holds its row."""
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
    """Whether the frames that could be decoded count despite the failure (``decode.salvage``)."""
