"""Comparing two results: the same frames in other images and shards are equal, and each planted difference is found."""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import zarr

import compare_results
import pipeline
from support.series_files import dicom, pixels

SALVAGED = "1.2/1.2.10/1.2.10.1"
"""The multi-frame file's image."""


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A stack with a damaged slice, and a multi-frame file with two damaged frames, converted in two ways."""
    folder = tmp_path_factory.mktemp("compared")
    files = folder / "files"
    files.mkdir()
    for number in range(1, 5):
        (files / f"{number}.dcm").write_bytes(dicom(pixels(number), number, series="1.2.9", broken=int(number == 3)))
    (files / "many.dcm").write_bytes(dicom(pixels(9, 5), series="1.2.10", broken=2))
    ways: dict[str, dict[str, Any]] = {"stacks": {}, "instances": {"grouping": "instance", "shard": 600}}
    for name, output in ways.items():
        here = {"kind": "synchronous"}
        pipeline.convert(files, folder / name, output=output, decode={"salvage": True}, cluster=here)
    return folder / "stacks", folder / "instances"


@pytest.fixture
def changed(results: tuple[Path, Path], tmp_path: Path) -> Path:
    """A copy of the second result, to be changed."""
    return Path(shutil.copytree(results[1], tmp_path / "changed"))


def compared(results: tuple[Path, Path], other: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    code = compare_results.main([str(results[0]), str(other)])
    return code, capsys.readouterr().out


def edit_rows(out: Path, change: Callable[[list[dict[str, Any]]], None]) -> None:
    table = pq.read_table(out / "catalog.parquet")
    rows = table.to_pylist()
    change(rows)
    pq.write_table(table.from_pylist(rows, schema=table.schema), out / "catalog.parquet")


def test_other_images_and_shards_hold_the_same(results, capsys):
    assert compared(results, results[1], capsys) == (
        0,
        "files: 5 and 5, 0 of them different\nframes: 6 and 6, 0 of them different\n",
    )


def test_a_grid_of_several_axes_is_read(results, changed, capsys):
    for name, values in [(name, array[...]) for name, array in image(changed).arrays() if name != "pixels"]:
        replace(changed, name, data=values.reshape(1, 5, 1))
    assert compared(results, changed, capsys)[0] == 0


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        (("checksum", 1, 7), "many.dcm', '1.2.10.1', 2): [('uint8', 3354704626927260492)] and [('uint8', 7)]"),
        (("valid", 0, False), "'1.2.10.1', 1): [('uint8', 12436140469799918749)] and missing"),
        (("valid", 4, True), "'1.2.10.1', 5): missing and [('uint8', 0)]"),
        (("frame_number", 2, 4), "'1.2.10.1', 4): missing and [('uint8', 17583382503774982776)]"),
    ],
)
def test_a_changed_frame_is_found(results, changed, capsys, changes, told):
    array, position, value = changes
    image(changed)[array][position] = value
    code, out = compared(results, changed, capsys)
    assert code == 1
    assert "files: 5 and 5, 0 of them different" in out
    assert told in out


def test_another_dtype_is_found(results, changed, capsys):
    replace(changed, "pixels", shape=(5, 16, 16), dtype="int8")
    code, out = compared(results, changed, capsys)
    assert (code, out.splitlines()[1]) == (1, "frames: 6 and 6, 3 of them different")


def test_a_missing_file_is_found(results, changed, capsys):
    edit_rows(changed, lambda rows: rows.pop(0))
    code, out = compared(results, changed, capsys)
    assert code == 1
    assert "files: 5 and 4, 1 of them different" in out
    assert "frames: 6 and 5, 1 of them different" in out


@pytest.mark.parametrize("column", ["status", "reason", "decoder", "photometric_interpretation"])
def test_a_row_that_says_otherwise_is_found(results, changed, capsys, column):
    edit_rows(changed, lambda rows: rows[2].update({column: "other"}))
    code, out = compared(results, changed, capsys)
    assert code == 1
    assert "files: 5 and 5, 1 of them different" in out
    assert "3.dcm: " in out
    assert "'other'" in out


def test_few_differences_of_many_are_printed(results, changed, capsys):
    image(changed)["checksum"][:] = 1
    assert compare_results.main([str(results[0]), str(changed), "--most", "1"]) == 1
    assert [line[:3] for line in capsys.readouterr().out.splitlines()] == ["fil", "fra", "  ("]


def test_results_without_frames_show_nothing(changed, capsys):
    edit_rows(changed, lambda rows: rows.clear())
    assert compare_results.main([str(changed), str(changed)]) == 1
    assert "has no frames" in capsys.readouterr().out


def image(out: Path) -> zarr.Group:
    """The salvaged file's image, to be changed."""
    return zarr.open_group(out / "images.zarr" / SALVAGED, mode="a", use_consolidated=False)


def replace(out: Path, name: str, **array: Any) -> None:
    """Replace an array, also in the group's copy of its metadata."""
    image(out).create_array(name, overwrite=True, **array)
    with warnings.catch_warnings(action="ignore"):
        zarr.consolidate_metadata(str(out / "images.zarr" / SALVAGED))
