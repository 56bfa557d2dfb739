"""The plan as Parquet tables below ``OUT/plan``.

Each plan has a folder of its own, ``plan/1``, ``plan/2``, …, and ``plan/plan.json`` names the one that holds: replacing
that small file is the one moment in which one plan follows another.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.errors import OutputError
from pipeline.model import Copy, Failure, ImageSpec, Instance, PixelFormat, Plan, Region, Span, Task
from pipeline.storage import Place, place

_SEAL = "plan.json"
"""Written last, with the number of rows of each table: without it, or with others, the tables aren't a plan."""
_FORMAT = 2

_PIXEL_FORMAT = (
    pa.field("rows", pa.int32()),
    pa.field("columns", pa.int32()),
    pa.field("samples_per_pixel", pa.int32()),
    pa.field("dtype", pa.string()),
    pa.field("photometric_interpretation", pa.string()),
)
_INSTANCE = (
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
)
_GEOMETRY = (pa.field("position", pa.list_(pa.float64())), pa.field("orientation", pa.list_(pa.float64())))
_IMAGE = (
    pa.field("path", pa.string()),
    pa.field("study_instance_uid", pa.string()),
    pa.field("series_instance_uid", pa.string()),
    pa.field("modality", pa.string()),
    pa.field("frames", pa.int64()),
    pa.field("chunks", pa.list_(pa.int64())),
    pa.field("shards", pa.list_(pa.int64())),
    pa.field("order", pa.string()),
)
_SPAN = tuple(pa.field(name, pa.int64()) for name in ("image", "instance", "start", "stop", "step", "frame_start"))
_TASK = tuple(pa.field(name, pa.int64()) for name in ("id", "memory_bytes", "encoded_bytes", "stored_bytes"))
_REGION = tuple(pa.field(name, pa.int64()) for name in ("task", "image", "frame_start", "frame_stop"))
_REFUSED = (
    pa.field("instance", pa.int64()),
    pa.field("reason", pa.string()),
    pa.field("message", pa.string()),
    pa.field("frame", pa.int64()),
)

_UNSELECTED = (pa.field("instance", pa.int64()),)
_COPY = (
    pa.field("segment", pa.int64()),
    pa.field("row", pa.int64()),
    pa.field("source", pa.string()),
    pa.field("kept", pa.string()),
)


def write_plan(out: str, plan: Plan, *, copies: Sequence[Copy] = (), facts: Mapping[str, Any] | None = None) -> None:
    """Write `plan` below ``OUT/plan``, in place of the one there; a crash leaves either of them whole.

    Parameters
    ----------
    out : str
        The output directory.
    plan : Plan
    copies : sequence of Copy
        The byte-identical copies that the plan leaves out.
    facts : mapping, optional
        What else a process needs that goes on from here: JSON-like values, for :func:`read_facts`.
    """
    tables = {
        "instances": _instances_table(plan.instances),
        "images": _images_table(plan.images),
        "spans": _table(_SPAN, _span_rows(plan.images)),
        "tasks": _attribute_table(_TASK, plan.tasks),
        "regions": _table(
            _REGION,
            ((n, r.image, r.frame_start, r.frame_stop) for n, task in enumerate(plan.tasks) for r in task.regions),
        ),
        "unselected": _table(_UNSELECTED, ((n,) for n in plan.unselected)),
        "refused": _table(_REFUSED, ((n, f.reason, f.message, f.frame) for n, f in plan.refused)),
        "copies": _attribute_table(_COPY, copies),
    }
    folder = _folder(out)
    number = (_seal(out)["tables"] if has_plan(out) else 0) + 1
    for name, table in tables.items():
        with (folder / f"{number}/{name}.parquet").replacing() as part:
            pq.write_table(table, part, compression="zstd")
    seal = {
        "format": _FORMAT,
        "tables": number,
        "rows": {name: len(table) for name, table in tables.items()},
        "facts": facts or {},
    }
    (folder / _SEAL).write_bytes(json.dumps(seal).encode())
    for other in folder.children():
        if other.isdecimal() and other != str(number):
            (folder / other).remove()


def remove_plan(out: str) -> None:
    """Let there be no plan below `out`; its tables may stay."""
    (_folder(out) / _SEAL).remove()


def has_plan(out: str) -> bool:
    """Return whether a whole plan lies below `out`."""
    return (_folder(out) / _SEAL).exists()


def read_facts(out: str) -> dict[str, Any]:
    """Return the facts that :func:`write_plan` was given.

    Raises
    ------
    OutputError
        Where there is no plan.
    """
    facts: dict[str, Any] = _seal(out)["facts"]
    return facts


def read_copies(out: str) -> tuple[Copy, ...]:
    """Return the byte-identical copies that the plan leaves out; OutputError where there is no whole plan."""
    table = _read_table(out, _seal(out), "copies")
    return tuple(Copy(*row) for row in zip(*_lists(table, [field.name for field in _COPY]), strict=True))


def read_plan(out: str) -> Plan:
    """Return the plan that :func:`write_plan` wrote, equal to it in every field.

    Raises
    ------
    OutputError
        Where there is none, or not a whole one.
    """
    tables = _read_tables(out)
    images = _read_images(tables["images"], _grouped(tables["spans"], Span, tables["images"].num_rows))
    regions = _grouped(tables["regions"], Region, tables["tasks"].num_rows)
    tasks = zip(*_lists(tables["tasks"], [field.name for field in _TASK]), regions, strict=True)
    refused = zip(*_lists(tables["refused"], [field.name for field in _REFUSED]), strict=True)
    return Plan(
        instances=_read_instances(tables["instances"]),
        images=images,
        tasks=tuple(Task(n, group, memory, encoded, stored) for n, memory, encoded, stored, group in tasks),
        refused=tuple((n, Failure(reason, message, frame)) for n, reason, message, frame in refused),
        unselected=tuple(tables["unselected"]["instance"].to_pylist()),
    )


def _folder(out: str) -> Place:
    return place(out) / "plan"


def _table(fields: Sequence[pa.Field], rows: Iterable[tuple[Any, ...]]) -> pa.Table:
    columns = list(zip(*rows, strict=True)) or [()] * len(fields)
    return pa.table([pa.array(c, f.type) for c, f in zip(columns, fields, strict=True)], schema=pa.schema(fields))


def _attribute_table(fields: Sequence[pa.Field], objects: Sequence[Any]) -> pa.Table:
    """One column for each attribute of the objects; texts that repeat (UIDs of a series) are stored once."""
    columns = [pa.array([getattr(o, field.name) for o in objects], field.type) for field in fields]
    return pa.table(columns, schema=pa.schema(fields))


def _joined(*tables: pa.Table) -> pa.Table:
    fields = [field for table in tables for field in table.schema]
    return pa.table([column for table in tables for column in table.columns], schema=pa.schema(fields))


def _instances_table(instances: Sequence[Instance]) -> pa.Table:
    geometry = pa.table(
        [
            pa.array([i.position for i in instances], _GEOMETRY[0].type),
            pa.array([i.orientation and (*i.orientation[0], *i.orientation[1]) for i in instances], _GEOMETRY[1].type),
        ],
        schema=pa.schema(_GEOMETRY),
    )
    formats = _attribute_table(_PIXEL_FORMAT, [i.format for i in instances])
    return _joined(_attribute_table(_INSTANCE, instances), formats, geometry)


def _images_table(images: Sequence[ImageSpec]) -> pa.Table:
    return _joined(_attribute_table(_IMAGE, images), _attribute_table(_PIXEL_FORMAT, [i.format for i in images]))


def _span_rows(images: Sequence[ImageSpec]) -> Iterable[tuple[int, ...]]:
    for number, image in enumerate(images):
        for span in image.spans:
            yield number, span.instance, span.start, span.stop, span.step, span.frame_start


def _seal(out: str) -> dict[str, Any]:
    folder = _folder(out)
    try:
        seal: dict[str, Any] = json.loads((folder / _SEAL).read_bytes())
        found = seal["format"]
    except FileNotFoundError as error:
        raise OutputError(f"{folder} holds no whole plan: {error}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise OutputError(f"{folder / _SEAL} can't be read: {error}") from error
    if found != _FORMAT:
        raise OutputError(f"{folder} holds a plan of format {found}; this version reads format {_FORMAT}")
    return seal


def _read_table(out: str, seal: Mapping[str, Any], name: str) -> pa.Table:
    path = _folder(out) / f"{seal['tables']}/{name}.parquet"
    try:
        with path.open() as opened:
            table = pq.read_table(opened)
    except FileNotFoundError as error:
        raise OutputError(f"{_folder(out)} holds no whole plan: {error}") from error
    except (OSError, pa.ArrowException) as error:
        raise OutputError(f"{path} can't be read: {error}") from error
    if table.num_rows != seal["rows"][name]:
        raise OutputError(f"{path} has {table.num_rows} rows, the plan has {seal['rows'][name]}")
    return table


def _read_tables(out: str) -> dict[str, pa.Table]:
    seal = _seal(out)
    return {name: _read_table(out, seal, name) for name in seal["rows"]}


def _lists(table: pa.Table, names: Iterable[str]) -> list[list[Any]]:
    return [table[name].to_pylist() for name in names]


def _formats(table: pa.Table) -> list[PixelFormat]:
    """One value for each row; equal ones are one object, for the driver's memory."""
    known: dict[PixelFormat, PixelFormat] = {}
    rows = zip(*_lists(table, [field.name for field in _PIXEL_FORMAT]), strict=True)
    formats = (PixelFormat(*row) for row in rows)
    return [known.setdefault(value, value) for value in formats]


_REPEATED = frozenset({"study_instance_uid", "series_instance_uid", "modality", "transfer_syntax_uid", "image_type"})


def _read_instances(table: pa.Table) -> tuple[Instance, ...]:
    names = [field.name for field in _INSTANCE]
    columns = dict(zip(names, _lists(table, names), strict=True))
    texts: dict[str, str] = {}
    for name in _REPEATED:
        columns[name] = [texts.setdefault(value, value) for value in columns[name]]
    columns["format"] = _formats(table)
    columns["position"] = [value and tuple(value) for value in table["position"].to_pylist()]
    columns["orientation"] = [
        value and (tuple(value[:3]), tuple(value[3:])) for value in table["orientation"].to_pylist()
    ]
    names = list(columns)
    return tuple(Instance(**dict(zip(names, row, strict=True))) for row in zip(*columns.values(), strict=True))


def _read_images(table: pa.Table, spans: list[tuple[Span, ...]]) -> tuple[ImageSpec, ...]:
    names = [field.name for field in _IMAGE]
    columns = dict(zip(names, _lists(table, names), strict=True))
    columns |= {name: [tuple(shape) for shape in columns[name]] for name in ("chunks", "shards")}
    columns |= {"format": _formats(table), "spans": spans}
    names = list(columns)
    return tuple(ImageSpec(**dict(zip(names, row, strict=True))) for row in zip(*columns.values(), strict=True))


def _grouped(table: pa.Table, kind: type[Any], count: int) -> list[tuple[Any, ...]]:
    """Return the objects of a table, gathered by the number in its first column."""
    groups: list[list[Any]] = [[] for _ in range(count)]
    for owner, *values in zip(*_lists(table, table.column_names), strict=True):
        groups[owner].append(kind(*values))
    return [tuple(group) for group in groups]
