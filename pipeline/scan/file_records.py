"""One file → one row of the catalog, and an :class:`Instance` if the file will be converted."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from pipeline import frames
from pipeline.catalog import PENDING
from pipeline.config import RunConfig
from pipeline.deid import Gate
from pipeline.model import UNKNOWN, FrameIndex, Instance, PixelFormat, SourceFile
from pipeline.scan import patient_hashing
from pipeline.scan.columns import column_kinds, fit, joined

Value = TypeVar("Value")

_UIDS = {
    "sop_instance_uid": "SOPInstanceUID",
    "sop_class_uid": "SOPClassUID",
    "series_instance_uid": "SeriesInstanceUID",
    "study_instance_uid": "StudyInstanceUID",
    "modality": "Modality",
}
_META = {"sop_instance_uid": "MediaStorageSOPInstanceUID", "sop_class_uid": "MediaStorageSOPClassUID"}
"""The File Meta Information repeats these two UIDs (PS3.10 7.1); a DICOMDIR has them only there."""
_NUMBERS = {
    "rows": "Rows",
    "columns": "Columns",
    "samples_per_pixel": "SamplesPerPixel",
    "num_frames": "NumberOfFrames",
}
_PLAN_KEYWORDS = ("InstanceNumber", "ImageType", "PhotometricInterpretation")
_INT32 = range(-(2**31), 2**31)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a configuration needs from each header."""

    kinds: Mapping[str, str]
    """Keyword → kind of its column."""
    keywords: tuple[str, ...]
    """All keywords to read for the row and the plan."""
    deciding: tuple[str, ...]
    """Keywords for decisions, read before the gate: their values are neither written nor shown."""
    header: bool
    """Whether the whole header is kept."""
    salt: bytes
    """The key of :func:`pipeline.scan.patient_hashing.patient_of`."""

    @classmethod
    def by(cls, config: RunConfig, salt: bytes) -> Wanted:
        """Return what `config` needs; ConfigError for an unknown keyword."""
        kinds = column_kinds(config)
        for keyword in config.select.where:
            frames.keyword_kind(keyword)
        ours = (*_UIDS.values(), *_META.values(), *_NUMBERS.values(), *_PLAN_KEYWORDS)
        keywords = tuple(dict.fromkeys([*ours, *kinds]))
        deciding = tuple(dict.fromkeys([*patient_hashing.KEYWORDS, *config.select.where]))
        return cls(kinds, keywords, deciding, config.metadata.header == "full", salt)


@dataclass(slots=True)
class Record:
    """Facts about one file, collected step by step; if a step fails, the earlier facts stay."""

    file: SourceFile
    gate: Gate
    """The gate that the row's values, notes and message pass."""
    row: dict[str, Any] = field(default_factory=dict)
    values: dict[str, Any] = field(default_factory=dict)
    deciding: dict[str, Any] = field(default_factory=dict)
    """Values before the gate."""
    notes: list[str] = field(default_factory=list)
    unconverted: dict[str, str] = field(default_factory=dict)
    patient: bytes = b""
    header_kept: bool = False

    def __post_init__(self) -> None:
        self.identify(self.file)

    def identify(self, file: SourceFile) -> None:
        """Record the file's source, size and time."""
        self.file = file
        self.row |= {"source": self.gate.source(self.file.source), "mtime_ns": self.file.mtime_ns or None}
        self.row["file_size"] = self.file.size if self.file.size >= 0 else None

    def describe(self, header: frames.Header, wanted: Wanted) -> None:
        """Fill in the values that every header has, an image's or not."""
        self.notes += header.assumptions
        found = self._attempt("the attributes", lambda: frames.keyword_values(header, wanted.keywords))
        self.values, texts = found or ({}, {})
        columns, misfits = fit(self.values, wanted.kinds)
        self.unconverted |= {keyword: text for keyword, text in (texts | misfits).items() if keyword in wanted.kinds}
        self.row |= columns
        self.row |= {name: joined(self.values.get(keyword)) or None for name, keyword in _UIDS.items()}
        self.row |= {name: _count(self.values.get(keyword)) for name, keyword in _NUMBERS.items()}
        self.row["photometric_interpretation"] = joined(self.values.get("PhotometricInterpretation")) or None
        self.row["transfer_syntax_uid"] = self.gate.uid(header.transfer_syntax_uid) or None
        for name, keyword in _META.items():
            self.row[name] = self.row[name] or joined(self.values.get(keyword)) or None
        self._decide_by(header, wanted)
        if wanted.header:
            model = self._attempt("the header as JSON", lambda: frames.header_json(header))
            self.row["header"], tags = model or (None, {})
            self.header_kept = model is not None
            self.unconverted |= tags

    def _decide_by(self, header: frames.Header, wanted: Wanted) -> None:
        found = self._attempt("the attributes", lambda: frames.unreleased_values(header, wanted.deciding))
        self.deciding, texts = found or ({}, {})
        study, series = bool(self.row["study_instance_uid"]), bool(self.row["series_instance_uid"])
        self.patient = patient_hashing.patient_of(self.deciding | texts, wanted.salt, study=study, series=series)

    def describe_format(self, pixels: PixelFormat) -> None:
        """Fill in the pixel format, which is more precise than the attributes."""
        self.row |= {
            "rows": pixels.rows,
            "columns": pixels.columns,
            "samples_per_pixel": pixels.samples_per_pixel,
            "dtype": pixels.dtype,
            "photometric_interpretation": pixels.photometric_interpretation,
        }

    def instance(self, header: frames.Header, pixels: PixelFormat, index: FrameIndex, place: RowPlace) -> Instance:
        """Fill in the columns of an instance to be converted, and return the instance."""
        unstored = frames.unstored(header, index, header_kept=self.header_kept)
        self.notes += [*index.notes, *unstored]
        self.row |= {
            "num_frames": index.number_of_frames,
            "status": PENDING,
            "message": self._release("; ".join(unstored)),
        }
        count = index.number_of_frames
        described = self._attempt("the attributes for readers", lambda: frames.frame_attributes(header, count))
        constant, by_frame, notes = described or ({}, {}, ())
        self.notes += notes
        self.row["attributes"] = json.dumps(constant)
        self.row["frame_attributes"] = json.dumps(by_frame) if by_frame else None
        position, orientation = self._attempt("the geometry", lambda: frames.geometry(header)) or (None, None)
        single = count == 1
        return Instance(
            source=self.file.source,
            size=self.file.size,
            mtime_ns=self.file.mtime_ns,
            study_instance_uid=self._uid("study_instance_uid", "Study Instance UID", UNKNOWN),
            series_instance_uid=self._uid("series_instance_uid", "Series Instance UID", UNKNOWN),
            sop_instance_uid=self.row["sop_instance_uid"] or UNKNOWN,
            modality=self.row["modality"] or "",
            transfer_syntax_uid=header.transfer_syntax_uid,
            format=pixels,
            number_of_frames=count,
            encoded_bytes=index.value_length,
            segment=place.segment,
            row=place.row,
            position=position if single else None,
            orientation=orientation if single else None,
            instance_number=_count(self.values.get("InstanceNumber")),
            image_type=joined(self.values.get("ImageType")),
            etag=self.file.etag,
            patient=self.patient,
        )

    def name_by_content(self, sha256: str) -> str:
        """Return a replacement for a missing SOP Instance UID that depends only on the file's content."""
        name = f"{UNKNOWN}-{sha256[:16]}"
        self.notes.append(f"no SOP Instance UID: {name!r} is used instead")
        return name

    def end(self, status: str, reason: str, message: str) -> None:
        """Record why the file isn't converted."""
        self.row |= {"status": status, "reason": reason, "message": self._release(message, reason)}

    def finished_row(self) -> dict[str, Any]:
        """Return the row for the segment."""
        self.row["assumptions"] = self._release("; ".join(self.notes))
        self.row["unconverted"] = json.dumps(self.unconverted) if self.unconverted else None
        return self.row

    def _release(self, text: str, reason: str = "") -> str | None:
        return self.gate.message(text, reason=reason, source=self.file.source) or None

    def _uid(self, column: str, name: str, placeholder: str) -> str:
        if not self.row[column]:
            self.notes.append(f"no {name}: {placeholder!r} is used instead")
        return self.row[column] or placeholder

    def _attempt(self, what: str, function: Callable[[], Value]) -> Value | None:
        """Return the result of `function`, or note that it failed: a bad table value mustn't prevent conversion."""
        try:
            return function()
        # pydicom converts lazily, and values of damaged headers may raise anything, RecursionError included
        except Exception as error:  # noqa: BLE001
            self.notes.append(f"{what} could not be read ({type(error).__name__})")
            return None


@dataclass(frozen=True, slots=True)
class RowPlace:
    """A row's place in the catalog's segments."""

    segment: int
    row: int


def _count(value: Any) -> int | None:
    """Return a whole number; None for another or an absurd value."""
    return value if isinstance(value, int) and not isinstance(value, bool) and value in _INT32 else None
