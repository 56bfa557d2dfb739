"""The plan as Parquet tables below ``OUT/plan``.

Each plan has a folder of its own, ``plan/1``, ``plan/2``, …, and ``plan/plan.json`` names the one that holds: replacing
that small file is the one moment in which one plan follows another.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import fields
from itertools import islice
from operator import attrgetter
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.catalog.bounded import open_table
from pipeline.errors import OutputError
from pipeline.model import (
    Axes,
    Copy,
    Failure,
    ImageSpec,
    Instance,
    PixelFormat,
    Placement,
    Plan,
    Region,
    Task,
    frame_axes,
    without_collections,
)
from pipeline.storage import OutputDir, Place

_FORMAT = 2
_STANDING = "standing-"
"""What the names of tables of standing images begin with."""
_LONGEST_SEAL = 2**28
"""Bytes: it names every segment, and every image and row that was replaced."""
GROUP_ROWS = 65_536
"""Rows written and read at a time: what the tables need in memory beside the plan itself."""

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
    pa.field("sha256", pa.string()),
    pa.field("patient", pa.binary()),
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
INSTANCES = (*_INSTANCE, *_PIXEL_FORMAT, *_GEOMETRY)
_IMAGES = (*_IMAGE, *_PIXEL_FORMAT)
# Tables and columns have the names that results have had from the beginning: spans are placements, frame_start and
# frame_stop positions, frames the size of the grid.
_PLACEMENT = tuple(pa.field(name, pa.int64()) for name in ("image", "instance", "start", "stop", "step", "frame_start"))
_TASK = tuple(pa.field(name, pa.int64()) for name in ("id", "memory_bytes", "encoded_bytes", "stored_bytes"))
_REGION = tuple(pa.field(name, pa.int64()) for name in ("task", "image", "frame_start", "frame_stop"))
_REFUSED = (
    pa.field("instance", pa.int64()),
    pa.field("reason", pa.string()),
    pa.field("message", pa.string()),
    pa.field("frame", pa.int64()),
)

_MAY_LACK = frozenset({"position", "orientation", "instance_number", "frame"})
_UNSELECTED = (pa.field("instance", pa.int64()),)
_COPY = (
    pa.field("segment", pa.int64()),
    pa.field("row", pa.int64()),
    pa.field("source", pa.string()),
    pa.field("kept", pa.string()),
)


@without_collections
def write_plan(
    out: OutputDir,
    plan: Plan,
    *,
    standing: Plan | None = None,
    copies: Sequence[Copy] = (),
    facts: Mapping[str, Any] | None = None,
) -> None:
    """Write `plan` below ``OUT/plan``, in place of the one there; a crash leaves either of them whole.

    Parameters
    ----------
    out : OutputDir
        The output directory.
    plan : Plan
    standing : Plan, optional
        Images, and the tasks that made them, that stand where others are yet to take their places; their instances are
        those of `plan`.
    copies : sequence of Copy
        The byte-identical copies that the plan leaves out.
    facts : mapping, optional
        What else a process needs that goes on from here: JSON-like values, for :func:`read_facts`.
    """
    tables: dict[str, tuple[Sequence[pa.Field], Iterable[tuple[Any, ...]]]] = {
        "instances": (INSTANCES, map(instance_row, plan.instances)),
        **_image_tables(plan),
        "unselected": (_UNSELECTED, ((n,) for n in plan.unselected)),
        "refused": (_REFUSED, ((n, f.reason, f.message, f.frame) for n, f in plan.refused)),
        "copies": (_COPY, ((copy.segment, copy.row, copy.source, copy.kept) for copy in copies)),
        **(_image_tables(standing, _STANDING) if standing and standing.images else {}),
    }
    number = (_seal(out)["tables"] if has_plan(out) else 0) + 1
    counts = {name: _write(out.plan_table(number, name), *table) for name, table in tables.items()}
    seal = {"format": _FORMAT, "tables": number, "rows": counts, "facts": facts or {}}
    # last, with the number of rows of each table: without it, or with others, the tables aren't a plan
    out.plan_seal.write_bytes(json.dumps(seal).encode())
    for other in out.plan_numbers():
        if other != str(number):
            out.plan_tables(other).remove()


def _image_tables(plan: Plan, prefix: str = "") -> dict[str, tuple[Sequence[pa.Field], Iterable[tuple[Any, ...]]]]:
    """Return the tables of a plan's images and tasks."""
    regions = ((n, r.image, r.start, r.stop) for n, task in enumerate(plan.tasks) for r in task.regions)
    return {
        f"{prefix}images": (_IMAGES, map(_image_row, plan.images)),
        f"{prefix}spans": (_PLACEMENT, _placement_rows(plan.images)),
        f"{prefix}tasks": (_TASK, map(attrgetter(*(field.name for field in _TASK)), plan.tasks)),
        f"{prefix}regions": (_REGION, regions),
    }


def remove_plan(out: OutputDir) -> None:
    """Let there be no plan below `out`; its tables may stay."""
    out.plan_seal.remove()


def has_plan(out: OutputDir) -> bool:
    """Return whether a whole plan lies below `out`."""
    return out.plan_seal.exists()


def read_facts(out: OutputDir) -> dict[str, Any]:
    """Return the facts that :func:`write_plan` was given.

    Raises
    ------
    OutputError
        Where there is no plan.
    """
    facts: dict[str, Any] = _seal(out)["facts"]
    return facts


def read_copies(out: OutputDir) -> tuple[Copy, ...]:
    """Return the byte-identical copies that the plan leaves out; OutputError where there is no whole plan."""
    return tuple(Copy(*row) for row in _rows(_read(out, "copies", _seal(out))))


@without_collections
def read_plan(out: OutputDir) -> Plan:
    """Return the plan that :func:`write_plan` wrote, equal to it in every field.

    Raises
    ------
    OutputError
        Where there is none, or not a whole one.
    """
    seal = _seal(out)
    images, tasks = _read_image_tables(out, seal)
    return Plan(
        instances=read_instances(_read(out, "instances", seal)),
        images=images,
        tasks=tasks,
        refused=tuple(
            (n, Failure(reason, message, frame)) for n, reason, message, frame in _rows(_read(out, "refused", seal))
        ),
        unselected=tuple(n for (n,) in _rows(_read(out, "unselected", seal))),
    )


@without_collections
def read_standing(out: OutputDir) -> Plan:
    """Return what :func:`write_plan` was given as `standing`, without instances; no images where there was nothing."""
    seal = _seal(out)
    return (
        Plan((), *_read_image_tables(out, seal, _STANDING))
        if f"{_STANDING}images" in seal["rows"]
        else Plan((), (), ())
    )


def _read_image_tables(
    out: OutputDir, seal: Mapping[str, Any], prefix: str = ""
) -> tuple[tuple[ImageSpec, ...], tuple[Task, ...]]:
    images = list(_read(out, f"{prefix}images", seal))
    tasks = list(_rows(_read(out, f"{prefix}tasks", seal)))
    placements = _grouped(_read(out, f"{prefix}spans", seal), Placement, sum(map(len, images)))
    regions = zip(tasks, _grouped(_read(out, f"{prefix}regions", seal), Region, len(tasks)), strict=True)
    return (
        _read_images(images, placements),
        tuple(Task(n, group, memory, encoded, stored) for (n, memory, encoded, stored), group in regions),
    )


def _write(path: Place, fields: Sequence[pa.Field], rows: Iterable[tuple[Any, ...]]) -> int:
    """Write a table, one row group at a time; return the number of its rows."""
    schema, rows, count = pa.schema(fields), iter(rows), 0
    with path.replacing() as part, pq.ParquetWriter(part, schema, compression="zstd") as file:
        while group := list(islice(rows, GROUP_ROWS)):
            columns = zip(*group, strict=True)
            arrays = [pa.array(column, field.type) for column, field in zip(columns, fields, strict=True)]
            file.write_table(pa.table(arrays, schema=schema))
            count += len(group)
    return count


_instance_values = attrgetter(*(field.name for field in _INSTANCE))
_format_values = attrgetter(*(field.name for field in _PIXEL_FORMAT))
_image_values = attrgetter(*(field.name for field in _IMAGE))


def instance_row(one: Instance) -> tuple[Any, ...]:
    """Return an instance as a row of the columns :data:`INSTANCES`."""
    directions = one.orientation and (*one.orientation[0], *one.orientation[1])
    return *_instance_values(one), *_format_values(one.format), one.position, directions


def _image_row(image: ImageSpec) -> tuple[Any, ...]:
    if image.axes != _axes(image.format):
        raise ValueError(f"{image.path}: tables of format {_FORMAT} hold frames in a row only, not {image.axes}")
    return *_image_values(image), *_format_values(image.format)


def _axes(pixels: PixelFormat) -> Axes:
    return frame_axes(1 + len(pixels.frame_shape))


def _placement_rows(images: Sequence[ImageSpec]) -> Iterator[tuple[int, ...]]:
    for number, image in enumerate(images):
        for placement in image.placements:
            yield number, placement.instance, placement.start, placement.stop, placement.step, placement.position


def _seal(out: OutputDir) -> dict[str, Any]:
    try:
        seal: dict[str, Any] = json.loads(out.plan_seal.read_bytes(_LONGEST_SEAL))
        found = seal["format"]
    except FileNotFoundError as error:
        raise _damaged(f"{out.plan} holds no whole plan: {error}") from error
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise _damaged(f"{out.plan_seal} can't be read: {error}") from error
    if found != _FORMAT:
        raise OutputError(
            f"{out.plan} holds a plan of format {str(found)[:20]}; this version reads format {_FORMAT}",
            reason="other_version",
        )
    numbers = (seal.get("tables"), *seal["rows"].values()) if isinstance(seal.get("rows"), dict) else (None,)
    if not all(isinstance(number, int) and number >= 0 for number in numbers) or not isinstance(
        seal.get("facts"), dict
    ):
        raise _damaged(f"{out.plan_seal} can't be read: it isn't what a run left")
    return seal


def _read(out: OutputDir, name: str, seal: Mapping[str, Any]) -> Iterator[pa.Table]:
    """Yield a table by its row groups."""
    path = out.plan_table(seal["tables"], name)
    try:
        with open_table(path) as file:
            if file.rows != seal["rows"].get(name):
                raise _damaged(f"{path} has {file.rows} rows, the plan has {seal['rows'].get(name)}")
            for table in file.groups():
                _require_filled(table, path)
                yield table
    except FileNotFoundError as error:
        raise _damaged(f"{out.plan} holds no whole plan: {error}") from error
    except (OSError, pa.ArrowException) as error:
        if isinstance(error, OutputError):
            raise
        raise _damaged(f"{path} can't be read: {error}") from error


def _damaged(told: str) -> OutputError:
    return OutputError(told, reason="damaged_result")


def _require_filled(table: pa.Table, path: Place) -> None:
    """Refuse columns without a value in some row, but for those that some instances have none of."""
    for name in table.column_names:
        if table[name].null_count and name not in _MAY_LACK:
            raise _damaged(f"{path}: a row has no {name}: the plan is damaged")


def _rows(groups: Iterable[pa.Table]) -> Iterator[tuple[Any, ...]]:
    for table in groups:
        yield from zip(*(column.to_pylist() for column in table.columns), strict=True)


class _Shared:
    """Gives equal values as one object, for the driver's memory."""

    def __init__(self) -> None:
        self._known: dict[Any, Any] = {}

    def column(self, values: Iterable[Any]) -> list[Any]:
        return [self._known.setdefault(value, value) for value in values]


_REPEATED = (
    *("study_instance_uid", "series_instance_uid", "modality", "transfer_syntax_uid", "image_type", "frame_index"),
    *("format", "orientation", "patient"),
)


def _columns(table: pa.Table, kind: type[Any], shared: _Shared, **made: list[Any]) -> Iterator[Any]:
    """Yield objects of a dataclass whose fields are columns of a table, or `made` of them."""
    columns = {name: table[name].to_pylist() for name in table.column_names} | made
    formats = zip(*(columns[field.name] for field in _PIXEL_FORMAT), strict=True)
    columns["format"] = [PixelFormat(*values) for values in formats]
    columns["axes"] = list(map(_axes, columns["format"]))
    for name in columns.keys() & set(_REPEATED):
        columns[name] = shared.column(columns[name])
    yield from map(kind, *(columns[field.name] for field in fields(kind)))


def read_instances(groups: Iterable[pa.Table]) -> tuple[Instance, ...]:
    """Return the instances of tables with the columns :data:`INSTANCES`."""
    shared = _Shared()
    return tuple(
        one
        for table in groups
        for one in _columns(
            table,
            Instance,
            shared,
            sha256=_or(table, "sha256", ""),
            patient=_or(table, "patient", b""),
            position=[value and tuple(value) for value in table["position"].to_pylist()],
            orientation=[value and (tuple(value[:3]), tuple(value[3:])) for value in table["orientation"].to_pylist()],
        )
    )


def _or(table: pa.Table, name: str, missing: Any) -> list[Any]:
    """Return a column that plans written by earlier versions lack: then they have `missing` in all rows."""
    return table[name].to_pylist() if name in table.column_names else [missing] * len(table)


def _read_images(groups: Iterable[pa.Table], placements: list[tuple[Placement, ...]]) -> tuple[ImageSpec, ...]:
    shared, left = _Shared(), iter(placements)
    return tuple(
        image
        for table in groups
        for image in _columns(
            table,
            ImageSpec,
            shared,
            sizes=[(frames,) for frames in table["frames"].to_pylist()],
            chunks=[tuple(shape) for shape in table["chunks"].to_pylist()],
            shards=[tuple(shape) for shape in table["shards"].to_pylist()],
            placements=list(islice(left, len(table))),
            aside=[False] * len(table),
        )
    )


def _grouped(groups: Iterable[pa.Table], kind: type[Any], count: int) -> list[tuple[Any, ...]]:
    """Return the objects of a table, gathered by the number in its first column."""
    gathered: list[list[Any]] = [[] for _ in range(count)]
    for owner, *values in _rows(groups):
        gathered[_position(owner, count)].append(kind(*values))
    return [tuple(group) for group in gathered]


def _position(owner: int, count: int) -> int:
    if not 0 <= owner < count:
        raise _damaged(f"the plan is damaged: it has {count} images or tasks, and something belongs to number {owner}")
    return owner
