"""The columns of the catalog and of its segments."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import pyarrow as pa

from pipeline.errors import ConfigError

Kind = Literal["number", "integer", "text", "numbers", "integers", "texts"]
"""Type of a keyword's column; the plural ones are lists, for attributes whose value multiplicity isn't 1."""

_TYPES: dict[str, pa.DataType] = {
    "number": pa.float64(),
    "integer": pa.int64(),
    "text": pa.string(),
    "numbers": pa.list_(pa.float64()),
    "integers": pa.list_(pa.int64()),
    "texts": pa.list_(pa.string()),
}

DEFAULT_KEYWORDS = (
    "PatientID",
    "PatientSex",
    "PatientAge",
    "StudyDate",
    "StudyDescription",
    "AccessionNumber",
    "SeriesDate",
    "SeriesNumber",
    "SeriesDescription",
    "ProtocolName",
    "BodyPartExamined",
    "Laterality",
    "AcquisitionDate",
    "AcquisitionNumber",
    "InstanceNumber",
    "ImageType",
    "Manufacturer",
    "ManufacturerModelName",
    "SliceThickness",
    "SpacingBetweenSlices",
    "PixelSpacing",
    "ImagePositionPatient",
    "ImageOrientationPatient",
    "FrameOfReferenceUID",
    "BitsStored",
    "LossyImageCompression",
    "BurnedInAnnotation",
)
"""Keywords that always become columns. People's names aren't among them: they are collected only on request."""

CONTRACT = (
    pa.field("source", pa.string(), nullable=False),
    pa.field("status", pa.string(), nullable=False),
    pa.field("reason", pa.string()),
    pa.field("message", pa.string()),
    pa.field("sop_instance_uid", pa.string()),
    pa.field("sop_class_uid", pa.string()),
    pa.field("series_instance_uid", pa.string()),
    pa.field("study_instance_uid", pa.string()),
    pa.field("modality", pa.string()),
    pa.field("transfer_syntax_uid", pa.string()),
    pa.field("rows", pa.int32()),
    pa.field("columns", pa.int32()),
    pa.field("samples_per_pixel", pa.int32()),
    pa.field("dtype", pa.string()),
    pa.field("photometric_interpretation", pa.string()),
    pa.field("num_frames", pa.int64()),
    pa.field("image", pa.string()),
    pa.field("frame_start", pa.int64()),
    pa.field("decoder", pa.string()),
    pa.field("header", pa.string()),
)
"""The columns that readers rely on, in their order."""

FURTHER = (
    pa.field("assumptions", pa.string()),
    pa.field("unconverted", pa.string()),
    pa.field("file_size", pa.int64()),
    pa.field("mtime_ns", pa.int64()),
    pa.field("attributes", pa.string()),
    pa.field("frames_missing", pa.int64()),
    pa.field("sha256", pa.string()),
)
"""``assumptions``: what the reader assumed or didn't believe, for people. ``unconverted``: JSON object of keyword or tag
path to the text of a value that couldn't be converted. ``attributes``: JSON object of the attributes that interpret the pixels.
``frames_missing``: how many of the file's `num_frames` frames in `image` aren't stored, if others are.
``sha256``: of the whole file, in hexadecimal digits; null if the file isn't to be converted, or was scanned without
``source.hash``."""

SEGMENT_ONLY = (pa.field("frame_attributes", pa.string()),)
"""``frame_attributes``: JSON object of keyword to one value per frame. The values end as arrays beside the pixels, so the
catalog needn't repeat them."""

PENDING = "pending"
"""Status, in a segment only, of a row whose instance is to be converted."""
FORMAT = {b"dcm2zarr.catalog": b"1"}
"""Version of the format, in the metadata of each file."""


def catalog_schema(keywords: Mapping[str, str]) -> pa.Schema:
    """Return the schema of ``catalog.parquet``: the columns that readers rely on, then further ones, then one per keyword.

    Parameters
    ----------
    keywords : mapping of str to str
        DICOM keyword to its :data:`Kind`.
    """
    return pa.schema([*CONTRACT, *FURTHER, *_keyword_fields(keywords)], metadata=FORMAT)


def segment_schema(keywords: Mapping[str, str]) -> pa.Schema:
    """Return the schema of a scan segment: the catalog's columns and `frame_attributes`."""
    return pa.schema([*CONTRACT, *FURTHER, *SEGMENT_ONLY, *_keyword_fields(keywords)], metadata=FORMAT)


def _keyword_fields(keywords: Mapping[str, str]) -> list[pa.Field]:
    for keyword, kind in keywords.items():
        if kind not in _TYPES:
            raise ConfigError(
                f"{keyword} can't become a column: its kind is {kind!r}; known kinds: {', '.join(_TYPES)}"
            )
    return [pa.field(keyword, _TYPES[kind]) for keyword, kind in keywords.items()]
