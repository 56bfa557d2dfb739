"""Compare the catalog's rows, and those of the images' table, with plan and ledger."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from pipeline.catalog import iter_rows, make_image_table, read_image_table
from pipeline.errors import OutputError
from pipeline.model import Instance, Placement
from pipeline.runs import FROZEN
from pipeline.storage import OutputDir
from pipeline.verify.expected import ExpectedResult
from pipeline.verify.problems import Problem

COLUMNS = (
    *("source", "status", "reason", "image", "frame_start", "num_frames", "sop_instance_uid", "series_instance_uid"),
    *("study_instance_uid", "modality", "transfer_syntax_uid", "rows", "columns", "samples_per_pixel", "dtype"),
    *("photometric_interpretation", "decoder", "file_size", "mtime_ns"),
)


def check_rows(expected: ExpectedResult) -> Iterator[Problem]:
    """Yield the problems of the catalog, which is read one row group at a time."""
    by_source, held = expected.by_source(), expected.held_before()
    left = set(by_source.values())
    placements = first_placements(expected)
    for row in iter_rows(expected.out, COLUMNS):
        position = by_source.get(row["source"])
        left.discard(-1 if position is None else position)
        if position is None:
            if row["status"] == "converted":
                yield Problem("row_extra", OutputDir.CATALOG, f"{row['source']}: converted, but missing in the plan")
            continue
        image, _ = placements.get(position, (None, ()))
        for message in _find_differences(row, expected, position, placements.get(position), held):
            yield Problem(
                "row_differs", OutputDir.CATALOG, f"{row['source']}: {message}", image, _frames(placements, position)
            )
    for position in sorted(left):
        instance = expected.plan.instances[position]
        yield Problem("row_missing", OutputDir.CATALOG, f"{instance.source}: in the plan, but without a row")


def check_image_table(expected: ExpectedResult) -> Iterator[Problem]:
    """Yield the problem of ``images.parquet``, if it differs from plan, ledger and catalog."""
    name = OutputDir.IMAGE_TABLE
    if not expected.out.image_table.exists():
        return  # missing among the sealed files
    try:
        found = read_image_table(expected.out)
    except OutputError as error:
        yield Problem("changed_file", name, str(error))
        return
    if not found.equals(make_image_table(expected.out, expected.outcomes)):
        yield Problem("changed_file", name, "its rows differ from plan, ledger and catalog")


Placements = Mapping[int, tuple[int, tuple[Placement, ...]]]
"""Instance → image, and the placements in it."""


def first_placements(expected: ExpectedResult) -> dict[int, tuple[int, tuple[Placement, ...]]]:
    """Return the image and the placements of each instance; an instance is in one image."""
    found: dict[int, tuple[int, tuple[Placement, ...]]] = {}
    for number, image in enumerate(expected.plan.images):
        found |= {i: (number, placements) for i, placements in image.placements_by_instance.items()}
    return found


def _frames(placements: Placements, position: int) -> range | None:
    if position not in placements:
        return None
    _, own = placements[position]
    return range(own[0].position, own[-1].positions.stop)


def _find_differences(
    row: Mapping[str, Any],
    expected: ExpectedResult,
    position: int,
    where: tuple[int, tuple[Placement, ...]] | None,
    held: Collection[str],
) -> Iterator[str]:
    instance = expected.plan.instances[position]
    stored = where is not None and expected.is_complete(where[0]) and position not in expected.outcomes.failures
    if stored != (row["status"] == "converted"):
        yield f"its status is {row['status']}, but according to plan and ledger it was {'' if stored else 'not '}stored"
        return
    wanted = _instance_columns(instance)
    if where is not None and stored:
        image, own = where
        wanted |= {
            "image": expected.plan.images[image].path,
            "frame_start": expected.plan.images[image].frame_start(own),
            "num_frames": sum(map(len, own)),
            "decoder": expected.outcomes.decoders.get(position),
            "photometric_interpretation": expected.outcomes.photometric.get(position),
            "reason": FROZEN if instance.source in held else None,
        }
    for column, value in wanted.items():
        if row[column] != value:
            yield f"its {column} is {row[column]!r} instead of {value!r}"


def _instance_columns(instance: Instance) -> dict[str, Any]:
    pixels = instance.format
    wanted: dict[str, Any] = {
        "file_size": instance.size,
        "mtime_ns": instance.mtime_ns or None,
        "sop_instance_uid": instance.known_uid or None,
        "modality": instance.modality or None,
        "transfer_syntax_uid": instance.transfer_syntax_uid,
        "rows": pixels.rows,
        "columns": pixels.columns,
        "samples_per_pixel": pixels.samples_per_pixel,
        "dtype": pixels.dtype,
    }
    return wanted
