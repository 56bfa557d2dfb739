"""The columns of the plan's tables.

Tables and columns keep the names that results have had from the beginning: the table of placements is ``spans``,
``frame_start`` and ``frame_stop`` are positions, ``frames`` is the size of the grid.
"""

from __future__ import annotations

import pyarrow as pa

PIXEL_FORMAT = (
    pa.field("rows", pa.int32()),
    pa.field("columns", pa.int32()),
    pa.field("samples_per_pixel", pa.int32()),
    pa.field("dtype", pa.string()),
    pa.field("photometric_interpretation", pa.string()),
)
INSTANCE = (
    pa.field("source", pa.string()),
    pa.field("size", pa.int64()),
    pa.field("mtime_ns", pa.int64()),
    pa.field("study_instance_uid", pa.string()),
    pa.field("series_instance_uid", pa.string()),
    pa.field("sop_instance_uid", pa.string()),
    pa.field("modality", pa.string()),
    pa.field("transfer_syntax_uid", pa.string()),
    pa.field("number_of_frames", pa.int64()),
    pa.field("encoded_bytes", pa.int64()),
    pa.field("segment", pa.int64()),
    pa.field("row", pa.int64()),
    pa.field("frame_index", pa.binary()),
    pa.field("frame_index_file", pa.string()),
    pa.field("instance_number", pa.int64()),
    pa.field("image_type", pa.string()),
    pa.field("etag", pa.string()),
    pa.field("sha256", pa.string()),
    pa.field("patient", pa.binary()),
)
_GEOMETRY = (pa.field("position", pa.list_(pa.float64())), pa.field("orientation", pa.list_(pa.float64())))
IMAGE = (
    pa.field("path", pa.string()),
    pa.field("study_instance_uid", pa.string()),
    pa.field("series_instance_uid", pa.string()),
    pa.field("modality", pa.string()),
    pa.field("frames", pa.int64()),
    pa.field("chunks", pa.list_(pa.int64())),
    pa.field("shards", pa.list_(pa.int64())),
    pa.field("order", pa.string()),
)
INSTANCES = (*INSTANCE, *PIXEL_FORMAT, *_GEOMETRY)
IMAGES = (*IMAGE, *PIXEL_FORMAT)
PLACEMENTS = tuple(pa.field(name, pa.int64()) for name in ("image", "instance", "start", "stop", "step", "frame_start"))
TASKS = tuple(pa.field(name, pa.int64()) for name in ("id", "memory_bytes", "encoded_bytes", "stored_bytes"))
REGIONS = tuple(pa.field(name, pa.int64()) for name in ("task", "image", "frame_start", "frame_stop"))
REFUSED = (
    pa.field("instance", pa.int64()),
    pa.field("reason", pa.string()),
    pa.field("message", pa.string()),
    pa.field("frame", pa.int64()),
)
"""Instances that can't be stored, and why."""
MAY_BE_NULL = frozenset({"position", "orientation", "instance_number", "frame"})
"""Columns that may lack a value in some rows."""
UNSELECTED = (pa.field("instance", pa.int64()),)
COPIES = (
    pa.field("segment", pa.int64()),
    pa.field("row", pa.int64()),
    pa.field("source", pa.string()),
    pa.field("kept", pa.string()),
)
