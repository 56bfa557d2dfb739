"""The plan as Parquet tables below ``OUT/plan``.

Each plan has a folder of its own, ``plan/1``, ``plan/2``, …, and ``plan/plan.json`` names the current one. A new plan takes
effect at the moment when that small file is replaced.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from operator import attrgetter
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.catalog.bounded_tables import open_table
from pipeline.catalog.plan_columns import (
    COPIES,
    IMAGES,
    INSTANCES,
    MAY_BE_NULL,
    PLACEMENTS,
    REFUSED,
    REGIONS,
    TASKS,
    UNSELECTED,
)
from pipeline.catalog.plan_records import (
    group_by_owner,
    image_row,
    instance_row,
    placement_rows,
    read_images,
    read_instances,
    row_values,
)
from pipeline.catalog.plan_seal import FORMAT, damaged, has_plan, read_seal
from pipeline.errors import OutputError
from pipeline.model import LAYOUT, Copy, Failure, ImageSpec, Placement, Plan, Region, Task, without_collections
from pipeline.storage import OutputDir, Place

_STANDING = "standing-"
"""Prefix of the tables of standing images."""
GROUP_ROWS = 65_536
"""Rows written and read at a time: they are all that the tables hold in memory, apart from the plan itself."""


@without_collections
def write_plan(
    out: OutputDir,
    plan: Plan,
    *,
    standing: Plan | None = None,
    copies: Sequence[Copy] = (),
    facts: Mapping[str, Any] | None = None,
) -> None:
    """Write `plan` below ``OUT/plan`` in place of the earlier plan; a crash leaves one of the two, whole.

    Parameters
    ----------
    out : OutputDir
        The output directory.
    plan : Plan
    standing : Plan, optional
        Finished images that stay until new ones replace them, and the tasks that made them; their instances are
        those of `plan`.
    copies : sequence of Copy
        The byte-identical copies that the plan leaves out.
    facts : mapping, optional
        Whatever else a later process needs: JSON-like values, for :func:`read_facts`.
    """
    tables: dict[str, tuple[Sequence[pa.Field], Iterable[tuple[Any, ...]]]] = {
        "instances": (INSTANCES, map(instance_row, plan.instances)),
        **_image_tables(plan),
        "unselected": (UNSELECTED, ((n,) for n in plan.unselected)),
        "refused": (REFUSED, ((n, f.reason, f.message, f.frame) for n, f in plan.refused)),
        "copies": (COPIES, ((copy.segment, copy.row, copy.source, copy.kept) for copy in copies)),
        **(_image_tables(standing, _STANDING) if standing and standing.images else {}),
    }
    number = (read_seal(out)["tables"] if has_plan(out) else 0) + 1
    counts = {name: _write(out.plan_table(number, name), *table) for name, table in tables.items()}
    seal = {"format": FORMAT, "layout": LAYOUT, "tables": number, "rows": counts, "facts": facts or {}}
    # The seal comes last, with the number of rows of each table: tables that it doesn't match aren't a plan.
    out.plan_seal.write_bytes(json.dumps(seal).encode())
    for other in out.plan_numbers():
        if other != str(number):
            out.plan_tables(other).remove()


def _image_tables(plan: Plan, prefix: str = "") -> dict[str, tuple[Sequence[pa.Field], Iterable[tuple[Any, ...]]]]:
    """Return the tables of a plan's images and tasks."""
    regions = ((n, r.image, r.start, r.stop) for n, task in enumerate(plan.tasks) for r in task.regions)
    return {
        f"{prefix}images": (IMAGES, map(image_row, plan.images)),
        f"{prefix}spans": (PLACEMENTS, placement_rows(plan.images)),
        f"{prefix}tasks": (TASKS, map(attrgetter(*(field.name for field in TASKS)), plan.tasks)),
        f"{prefix}regions": (REGIONS, regions),
    }


def read_copies(out: OutputDir) -> tuple[Copy, ...]:
    """Return the byte-identical copies that the plan leaves out; OutputError if the plan is missing or incomplete."""
    return tuple(Copy(*row) for row in row_values(_read(out, "copies", read_seal(out))))


@without_collections
def read_plan(out: OutputDir) -> Plan:
    """Return the plan that :func:`write_plan` wrote, equal to it in every field.

    Raises
    ------
    OutputError
        If the plan is missing or incomplete.
    """
    seal = read_seal(out)
    images, tasks = _read_image_tables(out, seal)
    return Plan(
        instances=read_instances(_read(out, "instances", seal)),
        images=images,
        tasks=tasks,
        refused=tuple(
            (n, Failure(reason, message, frame))
            for n, reason, message, frame in row_values(_read(out, "refused", seal))
        ),
        unselected=tuple(n for (n,) in row_values(_read(out, "unselected", seal))),
    )


@without_collections
def read_standing(out: OutputDir) -> Plan:
    """Return the plan that :func:`write_plan` got as `standing`, without instances; an empty plan if it got none."""
    seal = read_seal(out)
    return (
        Plan((), *_read_image_tables(out, seal, _STANDING))
        if f"{_STANDING}images" in seal["rows"]
        else Plan((), (), ())
    )


def _read_image_tables(
    out: OutputDir, seal: Mapping[str, Any], prefix: str = ""
) -> tuple[tuple[ImageSpec, ...], tuple[Task, ...]]:
    images = list(_read(out, f"{prefix}images", seal))
    tasks = list(row_values(_read(out, f"{prefix}tasks", seal)))
    placements = group_by_owner(_read(out, f"{prefix}spans", seal), Placement, sum(map(len, images)))
    regions = zip(tasks, group_by_owner(_read(out, f"{prefix}regions", seal), Region, len(tasks)), strict=True)
    return (
        read_images(images, placements),
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


def _read(out: OutputDir, name: str, seal: Mapping[str, Any]) -> Iterator[pa.Table]:
    """Yield a table by its row groups."""
    path = out.plan_table(seal["tables"], name)
    try:
        with open_table(path) as file:
            if file.rows != seal["rows"].get(name):
                raise damaged(f"{path} has {file.rows} rows, the plan has {seal['rows'].get(name)}")
            for table in file.groups():
                _require_values(table, path)
                yield table
    except FileNotFoundError as error:
        raise damaged(f"{out.plan} holds no whole plan: {error}") from error
    except (OSError, pa.ArrowException) as error:
        if isinstance(error, OutputError):
            raise
        raise damaged(f"{path} can't be read: {error}") from error


def _require_values(table: pa.Table, path: Place) -> None:
    """Refuse a table that lacks a value in some row, except in columns that may lack values."""
    for name in table.column_names:
        if table[name].null_count and name not in MAY_BE_NULL:
            raise damaged(f"{path}: a row has no {name}: the plan is damaged")
