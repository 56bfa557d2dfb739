"""Results of scan tasks, kept until there is a plan: an interrupted scan goes on from them.

Each segment has a file of its own, ``plan/scanned/00000012.parquet``, because a segment has the full rows but not the
compact records. The file isn't flushed to the disk: whatever a power cut destroys is scanned again.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.catalog.bounded_tables import open_table
from pipeline.catalog.plan_columns import INSTANCES
from pipeline.catalog.plan_records import instance_row, read_instances
from pipeline.model import Instance
from pipeline.storage import OutputDir

_FACTS = b"dcm2zarr"
_LONGEST_SALT = 256


def write_scanned(out: OutputDir, segment: int, instances: Sequence[Instance], facts: Mapping[str, Any]) -> None:
    """Keep the instances of a segment, and JSON-like `facts` with them."""
    schema = pa.schema(INSTANCES).with_metadata({_FACTS: json.dumps(facts).encode()})
    columns = zip(*map(instance_row, instances), strict=True) if instances else ((),) * len(schema)
    arrays = [pa.array(column, field.type) for column, field in zip(columns, schema, strict=True)]
    buffer = io.BytesIO()
    pq.write_table(pa.table(arrays, schema=schema), buffer, compression="none", use_dictionary=False)
    out.scanned_batch(segment).write_lightly(buffer.getbuffer())


def read_scanned(out: OutputDir, segment: int) -> tuple[tuple[Instance, ...], dict[str, Any]] | None:
    """Return what :func:`write_scanned` kept of a segment; None if there is nothing, or the file isn't whole."""
    path = out.scanned_batch(segment)
    with suppress(OSError, LookupError, TypeError, ValueError, RecursionError, pa.ArrowException):
        with open_table(path) as file:
            facts: dict[str, Any] = json.loads(file.schema.metadata[_FACTS])
            instances = read_instances(file.groups())
        indices = [instance.frame_index_file for instance in instances if instance.frame_index_file]
        if all(out.at(name).exists() for name in indices) and out.segment(segment).exists():
            return instances, facts
    return None


def load_or_make_salt(out: OutputDir, make: Callable[[], bytes]) -> bytes:
    """Return the salt of the scan under way; if there is none, keep and return one that `make` returns."""
    path = out.scan_salt
    with suppress(FileNotFoundError):
        if salt := path.read_bytes(_LONGEST_SALT):
            return salt
    salt = make()
    path.write_bytes(salt)
    return salt


def forget_scanned(out: OutputDir) -> None:
    """Remove all kept results, because the plan holds them now."""
    out.scanned.remove()
