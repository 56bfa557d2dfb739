"""``images.parquet``: one row for each complete image, made of the plan, the outcomes, and the catalog's rows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.catalog.bounded_tables import BoundedTable, open_table
from pipeline.catalog.table_columns import CONTRACT, FURTHER
from pipeline.errors import OutputError
from pipeline.model import ImageSpec
from pipeline.outcomes import Outcomes
from pipeline.storage import OutputDir

_NUMBERS = pa.list_(pa.int64())
COLUMNS = (
    pa.field("image", pa.string(), nullable=False),
    pa.field("axes", pa.list_(pa.string()), nullable=False),
    pa.field("shape", _NUMBERS, nullable=False),
    pa.field("dtype", pa.string(), nullable=False),
    pa.field("chunks", _NUMBERS, nullable=False),
    pa.field("shards", _NUMBERS, nullable=False),
    pa.field("frames", pa.int64(), nullable=False),
    pa.field("frames_missing", pa.int64(), nullable=False),
    pa.field("modality", pa.string()),
    pa.field("study_instance_uid", pa.string()),
    pa.field("series_instance_uid", pa.string()),
    pa.field("series_description", pa.string()),
    pa.field("patient_id", pa.string()),
    pa.field("verdict", pa.string()),
    pa.field("spacing", pa.list_(pa.float64())),
    pa.field("affine", pa.list_(pa.float64())),
    pa.field("missing_slices", _NUMBERS),
    pa.field("bytes", pa.int64(), nullable=False),
    pa.field("stored_bytes", pa.int64(), nullable=False),
    pa.field("slide", pa.string()),
    pa.field("level", pa.int32()),
)
"""The columns that readers rely on, in their order; one for each collected keyword follows. ``image``: path of the group.
``bytes``: of the decoded frames; ``stored_bytes``: of the shards. ``verdict`` to ``missing_slices`` describe the geometry,
``slide`` and ``level`` a level of a slide; null if unknown."""

FORMAT = {b"dcm2zarr.images": b"1"}
"""Version of the format, in the file's metadata."""
_KEYWORDS = {"series_description": "SeriesDescription", "patient_id": "PatientID"}
"""Columns of their own that repeat a keyword's."""
_VARIES = "varies:"


def write_image_table(out: OutputDir, outcomes: Outcomes) -> None:
    """Write ``images.parquet``; the catalog must have been written. The file appears whole or not at all."""
    table = make_image_table(out, outcomes)
    with out.image_table.replacing() as part, pq.ParquetWriter(part, table.schema, compression="zstd") as writer:
        writer.write_table(table)


def read_image_table(out: OutputDir) -> pa.Table:
    """Return ``images.parquet``; OutputError (reason ``damaged_result``) if it can't be read."""
    try:
        with open_table(out.image_table) as file:
            return pa.concat_tables([file.schema.empty_table(), *file.groups()])
    except (pa.ArrowException, OSError, ValueError) as error:
        message = f"{out.image_table} can't be read as Parquet: {error}"
        raise OutputError(message, reason="damaged_result") from error


def make_image_table(out: OutputDir, outcomes: Outcomes) -> pa.Table:
    """Return the rows of the complete images, in the order of their paths.

    The catalog is read one row group at a time, and only its keywords. A keyword has a value if it's equal in all rows of
    the image.
    """
    complete = sorted(outcomes.complete)
    images = [outcomes.plan.images[number] for number in complete]
    shared = _shared_keywords(out, [image.path for image in images])
    made: dict[str, Iterable[Any]] = {
        **{name: [getattr(image, name) for image in images] for name in ("shape", "chunks", "shards", "frames")},
        "image": [image.path for image in images],
        "axes": [image.axes.names for image in images],
        "dtype": [image.format.dtype for image in images],
        "frames_missing": map(outcomes.missing_frames, complete),
        "bytes": [image.frames * image.format.frame_bytes for image in images],
        "stored_bytes": [outcomes.image_bytes[number] for number in complete],
        **{name: _known(images, name) for name in ("modality", "study_instance_uid", "series_instance_uid")},
    }
    columns = [
        shared[_KEYWORDS[field.name]]
        if _KEYWORDS.get(field.name) in shared.column_names
        else pa.array(made.get(field.name, [None] * len(images)), field.type)
        for field in COLUMNS
    ]
    schema = pa.schema([*COLUMNS, *shared.schema], metadata=FORMAT)
    return pa.table([*columns, *shared.columns], schema=schema).sort_by("image")


def _known(images: Sequence[ImageSpec], name: str) -> list[str | None]:
    return [getattr(image, name) or None for image in images]


def _shared_keywords(out: OutputDir, images: Sequence[str]) -> pa.Table:
    """Return one row for each of `images`, with the keywords' values that all files of the image share."""
    with open_table(out.catalog) as file:
        fields = [field for field in file.schema if field.name not in {known.name for known in (*CONTRACT, *FURTHER)}]
        keywords = [field.name for field in fields]
        empty = pa.schema([pa.field("image", pa.string()), *fields]).empty_table()
        found = _reduce(pa.concat_tables([_unvarying(empty, keywords), *_reduced_groups(file, keywords)]), keywords)
    rows = {path: row for row, path in enumerate(found["image"].to_pylist())}
    places = pa.array([rows.get(path) for path in images], pa.int64())
    columns = []
    for keyword in keywords:
        usable = pc.if_else(found[_VARIES + keyword], pa.scalar(None, pa.int64()), np.arange(len(found)))
        columns.append(found[keyword].take(usable.take(places)))
    return pa.table(columns, schema=pa.schema(fields))


def _reduced_groups(file: BoundedTable, keywords: list[str]) -> Iterable[pa.Table]:
    for group in range(len(file.sizes)):
        table = file.group(group, ["image", *keywords])
        yield _reduce(_unvarying(table.filter(pc.is_valid(table["image"])), keywords), keywords)


def _unvarying(table: pa.Table, keywords: list[str]) -> pa.Table:
    """Add columns that say of each row and keyword whether the rows that it stands for differ: they don't yet."""
    for keyword in keywords:
        table = table.append_column(_VARIES + keyword, pa.array(np.zeros(len(table), bool)))
    return table


def _reduce(table: pa.Table, keywords: list[str]) -> pa.Table:
    """Return one row for each image: the first of its rows, and which keywords differ between its rows."""
    codes = {keyword: _numbered(table[keyword]) for keyword in keywords}
    varies = {_VARIES + keyword: table[_VARIES + keyword] for keyword in keywords}
    numbered = pa.table({"image": table["image"], "row": np.arange(len(table)), **codes, **varies})
    wanted = [("row", "min"), *((k, "min") for k in keywords), *((k, "max") for k in keywords)]
    grouped = numbered.group_by("image", use_threads=False).aggregate([*wanted, *((name, "any") for name in varies)])
    reduced = table.take(grouped["row_min"])
    for keyword in keywords:
        differs = pc.not_equal(grouped[f"{keyword}_min"], grouped[f"{keyword}_max"])
        place = reduced.schema.get_field_index(_VARIES + keyword)
        reduced = reduced.set_column(place, _VARIES + keyword, pc.or_(differs, grouped[f"{_VARIES}{keyword}_any"]))
    return reduced


def _numbered(column: pa.ChunkedArray) -> pa.Array:
    """Return a number for each value: the same for equal values. Null has a number too."""
    values = column.combine_chunks()
    if pa.types.is_list(values.type):  # as texts, each component with an end that no value contains
        parts = pc.fill_null(pc.cast(values.values, pa.string()), "\0")
        ended = pc.binary_join_element_wise(parts, pa.scalar(""), "\0")
        values = pc.binary_join(pa.ListArray.from_arrays(values.offsets, ended, mask=values.is_null()), "")
    return values.dictionary_encode(null_encoding="encode").indices
