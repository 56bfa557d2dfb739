"""``images.parquet``: a row for each complete image, with the keywords that all its files share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.catalog import make_image_table, read_image_table, write_image_table
from pipeline.catalog.table_columns import catalog_schema
from pipeline.errors import OutputError
from pipeline.model import (
    Failure,
    ImageSpec,
    InstanceOutcome,
    PixelFormat,
    Placement,
    Plan,
    Region,
    RegionResult,
    Task,
    TaskResult,
    frame_axes,
)
from pipeline.outcomes import Outcomes
from pipeline.storage import OutputDir

CONTRACT = [
    *("image", "axes", "shape", "dtype", "chunks", "shards", "frames", "frames_missing", "modality"),
    *("study_instance_uid", "series_instance_uid", "series_description", "patient_id", "verdict", "spacing", "affine"),
    *("missing_slices", "bytes", "stored_bytes", "slide", "level"),
]
KEYWORDS = {
    "PatientID": "text",
    "SeriesDescription": "text",
    "SliceThickness": "number",
    "SeriesNumber": "integer",
    "PixelSpacing": "numbers",
    "ImageType": "texts",
}
GREY, RGB = PixelFormat(4, 5, 1, "int16", "MONOCHROME2"), PixelFormat(4, 5, 3, "uint8", "RGB")


def an_image(path: str, instances: range, form: PixelFormat = GREY, modality: str = "CT") -> ImageSpec:
    axes, frames = frame_axes(1 + len(form.frame_shape)), len(instances)
    placements = tuple(Placement(i, 0, 1, 1, n) for n, i in enumerate(instances))
    return ImageSpec(
        *(path, "1.2", "1.3", modality, form, axes, (frames,)),
        *(axes.shape((1,), form.frame_shape), axes.shape((frames,), form.frame_shape), "position", placements),
    )


def outcomes_of(images: list[ImageSpec], failed: tuple[int, ...] = ()) -> Outcomes:
    tasks = tuple(Task(n, (Region(n, 0, image.frames),), 0, 0, 0) for n, image in enumerate(images))
    found = Outcomes(Plan((), tuple(images), tasks))
    for n, image in enumerate(images):
        members = [
            InstanceOutcome(i, failure=Failure("decode_failed", "") if i in failed else None) for i in image.members
        ]
        valid = bytes(i not in failed for i in image.members)
        region = RegionResult(n, 0, image.frames, bytes(8 * image.frames), valid, 100 + n, "")
        found.add(TaskResult(n, (region,), tuple(members)))
    found.complete = set(range(len(images)))
    return found


def catalog(out: Path, rows: list[dict[str, Any]], group: int = 3) -> OutputDir:
    pq.write_table(
        pa.Table.from_pylist([{"source": "s", "status": "converted"} | row for row in rows], catalog_schema(KEYWORDS)),
        out / "catalog.parquet",
        row_group_size=group,
    )
    return OutputDir.of(out)


def test_a_row_describes_an_image(tmp_path: Path) -> None:
    outcomes = outcomes_of([an_image("b/stack", range(3)), an_image("a/clip", range(3, 5), RGB, "")], failed=(1,))
    same = {"PatientID": "p", "SeriesDescription": "s", "PixelSpacing": [0.1, 0.3], "ImageType": ["A", "B"]}
    stack = [{"image": "b/stack", "SliceThickness": 0.1 + i, **same} for i in range(3)]
    clip = [{"image": "a/clip", "SeriesNumber": 7, "PatientID": patient} for patient in ("p", None)]
    out = catalog(tmp_path, [stack[0], clip[0], {"status": "rejected"}, stack[1], clip[1], stack[2]])
    write_image_table(out, outcomes)
    table = read_image_table(out)
    assert table.column_names == [*CONTRACT, *KEYWORDS]
    assert table.schema.metadata == {b"dcm2zarr.images": b"1"}
    clip_row, stack_row = table.to_pylist()
    assert stack_row == dict.fromkeys(table.column_names) | same | {
        "image": "b/stack",
        "axes": ["frame", "y", "x"],
        "shape": [3, 4, 5],
        "dtype": "int16",
        "chunks": [1, 4, 5],
        "shards": [3, 4, 5],
        "frames": 3,
        "frames_missing": 1,
        "modality": "CT",
        "study_instance_uid": "1.2",
        "series_instance_uid": "1.3",
        "series_description": "s",
        "patient_id": "p",
        "bytes": 3 * 4 * 5 * 2,
        "stored_bytes": 100,
    }
    assert clip_row == dict.fromkeys(table.column_names) | {
        "image": "a/clip",
        "axes": ["t", "c", "y", "x"],
        "shape": [2, 3, 4, 5],
        "dtype": "uint8",
        "chunks": [1, 3, 4, 5],
        "shards": [2, 3, 4, 5],
        "frames": 2,
        "frames_missing": 0,
        "SeriesNumber": 7,
        "study_instance_uid": "1.2",
        "series_instance_uid": "1.3",
        "bytes": 2 * 3 * 4 * 5,
        "stored_bytes": 101,
    }


VALUES = {
    "PatientID": st.sampled_from([None, "", "p", "q"]),
    "SliceThickness": st.sampled_from([None, 0.1, 0.1 + 2**-55, -0.5]),
    "SeriesNumber": st.sampled_from([None, 2**53, 2**53 + 1]),
    "PixelSpacing": st.sampled_from([None, [], [1.0], [1.0, 2.0], [1.0, None], [10.0, 20.0], [1e-9]]),
    "ImageType": st.sampled_from([None, [], ["A"], ["A", "B"], ["AB"], [None, "A"]]),
}
ROW = st.fixed_dictionaries({"image": st.sampled_from([None, "a", "b", "c"]), **VALUES})


@settings(deadline=None, max_examples=60)
@given(rows=st.lists(ROW, max_size=12), group=st.integers(1, 5))
def test_a_keyword_has_the_value_that_all_files_share(
    rows: list[dict[str, Any]], group: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    out = catalog(tmp_path_factory.mktemp("out"), rows, group)
    names = sorted({row["image"] for row in rows} - {None})
    outcomes = outcomes_of([an_image(name, range(n, n + 1)) for n, name in enumerate(names)])
    for row in make_image_table(out, outcomes).to_pylist():
        own = [one for one in rows if one["image"] == row["image"]]
        for keyword in VALUES:
            first, *others = (one[keyword] for one in own)
            assert row[keyword] == (first if all(other == first for other in others) else None), keyword


def test_what_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"images\.parquet can't be read"):
        read_image_table(OutputDir.of(tmp_path))
    (tmp_path / "images.parquet").write_bytes(b"PAR1 no")
    with pytest.raises(OutputError, match=r"images\.parquet can't be read"):
        read_image_table(OutputDir.of(tmp_path))
