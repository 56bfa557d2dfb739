"""Instances, images and placements as rows of the plan's tables, and back."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import fields
from itertools import islice
from operator import attrgetter
from typing import Any

import pyarrow as pa

from pipeline.catalog.plan_columns import IMAGE, INSTANCE, PIXEL_FORMAT
from pipeline.catalog.plan_seal import FORMAT, damaged
from pipeline.model import Axes, ImageSpec, Instance, PixelFormat, Placement, frame_axes

_instance_values = attrgetter(*(field.name for field in INSTANCE))
_format_values = attrgetter(*(field.name for field in PIXEL_FORMAT))
_image_values = attrgetter(*(field.name for field in IMAGE))


def instance_row(instance: Instance) -> tuple[Any, ...]:
    """Return an instance as a row of the columns :data:`INSTANCES`."""
    directions = instance.orientation and (*instance.orientation[0], *instance.orientation[1])
    return *_instance_values(instance), *_format_values(instance.format), instance.position, directions


def image_row(image: ImageSpec) -> tuple[Any, ...]:
    """Return an image as a row of the columns :data:`IMAGES`."""
    if image.axes != _axes(image.format):
        raise ValueError(f"{image.path}: tables of format {FORMAT} hold frames in a row only, not {image.axes}")
    return *_image_values(image), *_format_values(image.format)


def _axes(pixels: PixelFormat) -> Axes:
    return frame_axes(1 + len(pixels.frame_shape))


def placement_rows(images: Sequence[ImageSpec]) -> Iterator[tuple[int, ...]]:
    """Yield the images' placements as rows of the columns :data:`PLACEMENTS`."""
    for number, image in enumerate(images):
        for placement in image.placements:
            yield number, placement.instance, placement.start, placement.stop, placement.step, placement.position


def row_values(groups: Iterable[pa.Table]) -> Iterator[tuple[Any, ...]]:
    """Yield the rows of tables as tuples."""
    for table in groups:
        yield from zip(*(column.to_pylist() for column in table.columns), strict=True)


class _SharedValues:
    """Replaces equal values by one object, to save the driver's memory."""

    def __init__(self) -> None:
        self._known: dict[Any, Any] = {}

    def column(self, values: Iterable[Any]) -> list[Any]:
        return [self._known.setdefault(value, value) for value in values]


_REPEATED = (
    *("study_instance_uid", "series_instance_uid", "modality", "transfer_syntax_uid", "image_type", "frame_index"),
    *("format", "orientation", "patient"),
)


def _columns(table: pa.Table, kind: type[Any], shared: _SharedValues, **made: list[Any]) -> Iterator[Any]:
    """Yield objects of a dataclass whose fields are columns of a table or, under the same names, values in `made`."""
    columns = {name: table[name].to_pylist() for name in table.column_names} | made
    formats = zip(*(columns[field.name] for field in PIXEL_FORMAT), strict=True)
    columns["format"] = [PixelFormat(*values) for values in formats]
    columns["axes"] = list(map(_axes, columns["format"]))
    for name in columns.keys() & set(_REPEATED):
        columns[name] = shared.column(columns[name])
    yield from map(kind, *(columns[field.name] for field in fields(kind)))


def read_instances(groups: Iterable[pa.Table]) -> tuple[Instance, ...]:
    """Return the instances of tables with the columns :data:`INSTANCES`."""
    shared = _SharedValues()
    return tuple(
        instance
        for table in groups
        for instance in _columns(
            table,
            Instance,
            shared,
            sha256=_column_or(table, "sha256", ""),
            patient=_column_or(table, "patient", b""),
            position=[value and tuple(value) for value in table["position"].to_pylist()],
            orientation=[value and (tuple(value[:3]), tuple(value[3:])) for value in table["orientation"].to_pylist()],
        )
    )


def _column_or(table: pa.Table, name: str, missing: Any) -> list[Any]:
    """Return a column, or `missing` for each row if an earlier version wrote the table without that column."""
    return table[name].to_pylist() if name in table.column_names else [missing] * len(table)


def read_images(groups: Iterable[pa.Table], placements: list[tuple[Placement, ...]]) -> tuple[ImageSpec, ...]:
    """Return the images of tables with the columns :data:`IMAGES`, each with its placements."""
    shared, left = _SharedValues(), iter(placements)
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


def group_by_owner(groups: Iterable[pa.Table], kind: type[Any], count: int) -> list[tuple[Any, ...]]:
    """Return the objects of a table, grouped by the owner's number in the first column."""
    gathered: list[list[Any]] = [[] for _ in range(count)]
    for owner, *values in row_values(groups):
        gathered[_checked_owner(owner, count)].append(kind(*values))
    return [tuple(group) for group in gathered]


def _checked_owner(owner: int, count: int) -> int:
    if not 0 <= owner < count:
        raise damaged(f"the plan is damaged: it has {count} images or tasks, but a row belongs to number {owner}")
    return owner
