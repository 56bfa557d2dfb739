"""What scripts/readers expects and finds, in a small result made here, with the readers that need no installation."""

from __future__ import annotations

import io
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import xxhash
import zarr
from rich.console import Console

from other_readers.expectations import expectations
from other_readers.python_readers import answers
from other_readers.reading import COMMANDS, ask, judge, show

GREY, COLOUR = "1.2/1.3/stack-1", "1.2/1.4/1.5"


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """A grey stack whose second frame isn't valid, and three colour frames, planar, as the contract says."""
    random = np.random.default_rng(14)
    grey = random.integers(-1000, 1000, (4, 5, 7), np.int16)
    colour = random.integers(0, 255, (3, 5, 7, 3), np.uint8)
    rows = [
        write_image(tmp_path, GREY, grey, ("frame", "y", "x"), missing=1),
        write_image(tmp_path, COLOUR, colour, ("t", "c", "y", "x")),
    ]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "catalog.parquet")
    return tmp_path


def write_image(
    out: Path, path: str, frames: np.ndarray, axes: Sequence[str], *, missing: int | None = None
) -> dict[str, Any]:
    """Write an image; return its row of the catalog."""
    group = zarr.open_group(out / "images.zarr" / path, mode="w", zarr_format=3)
    valid = np.arange(len(frames)) != missing
    arrays = {
        "valid": valid,
        "checksum": np.array([xxhash.xxh3_64_intdigest(frame.tobytes()) for frame in frames], np.uint64) * valid,
        "frame_number": np.arange(1, len(frames) + 1, dtype=np.int32),
        "sop_instance_uid": np.array(["1.5"] * len(frames), np.dtypes.StringDType()),
    }
    for name, values in arrays.items():
        group.create_array(name, data=values, dimension_names=axes[:1])
    stored = np.moveaxis(frames, 3, 1) if "c" in axes else frames
    group.create_array("pixels", data=stored, dimension_names=axes, chunks=(1, *stored.shape[1:]))
    consolidate(out, path)
    samples = frames.shape[3] if frames.ndim > 3 else 1
    size = {"rows": frames.shape[1], "columns": frames.shape[2], "samples_per_pixel": samples}
    return {"source": f"/files/{path[-3:]}.dcm", "image": path, "dtype": frames.dtype.name, **size}


def consolidate(out: Path, path: str) -> None:
    with warnings.catch_warnings(action="ignore"):  # Zarr's specification doesn't have it yet
        zarr.consolidate_metadata(str(out / "images.zarr" / path))


def found(out: Path, reader: str) -> dict[str, list[str]]:
    """What a reader finds otherwise in each image."""
    expected = list(expectations(out))
    images = {image.path: image.request() for image in expected}
    told = {
        answer["image"]: answer["arrays"]
        for answer in answers(reader, {"store": f"{out}/images.zarr", "images": images})
    }
    return {image.path: judge(image, reader, told, "") for image in expected}


def pixels(out: Path, path: str) -> zarr.Array[Any]:
    array = zarr.open_array(out / "images.zarr" / path / "pixels", mode="a")
    assert isinstance(array, zarr.Array)
    return array


@pytest.mark.parametrize("reader", ["zarr-python", "xarray"])
class TestReaders:
    def test_what_is_right_is_found(self, out, reader):
        assert found(out, reader) == {GREY: [], COLOUR: []}

    def test_interleaved_colour_is_wrong_though_its_axes_are_called_right(self, out, reader):
        frames = np.moveaxis(pixels(out, COLOUR)[...], 1, 3).reshape(3, 3, 5, 7)
        pixels(out, COLOUR)[...] = frames
        wrong = "pixels: 3 frames have another checksum, the first one at 0"
        assert found(out, reader) == {GREY: [], COLOUR: [wrong]}

    def test_exchanged_frames(self, out, reader):
        pixels(out, GREY)[...] = pixels(out, GREY)[...][[0, 1, 3, 2]]
        wrong = "pixels: 2 frames have another checksum, the first one at 2"
        assert found(out, reader) == {GREY: [wrong], COLOUR: []}

    def test_frames_that_are_not_valid_may_have_any_pixels(self, out, reader):
        pixels(out, GREY)[1] = 0
        assert found(out, reader) == {GREY: [], COLOUR: []}

    def test_other_names_of_axes(self, out, reader):
        path = out / "images.zarr" / GREY / "pixels/zarr.json"
        path.write_text(path.read_text("utf-8").replace('"y"', '"row"'))
        consolidate(out, GREY)
        names = "pixels: axes ['frame', 'row', 'x'], not ['frame', 'y', 'x']"
        assert found(out, reader)[GREY] == [names, "pixels: 0 frames, not 4"]

    def test_per_frame_values_on_another_axis(self, out, reader):
        path = out / "images.zarr" / COLOUR / "valid/zarr.json"
        path.write_text(path.read_text("utf-8").replace('"t"', '"frame"'))
        consolidate(out, COLOUR)
        assert found(out, reader)[COLOUR] == ["valid: axes ['frame'], not ['t']"]

    def test_another_type_and_shape_than_the_catalog_says(self, out, reader):
        rows = pq.read_table(out / "catalog.parquet").to_pylist()
        rows[0] |= {"dtype": "uint16", "rows": 7}
        pq.write_table(pa.Table.from_pylist(rows), out / "catalog.parquet")
        shape, dtype = "pixels: shape [4, 5, 7], not [4, 7, 7]", "pixels: dtype int16, not uint16"
        assert found(out, reader) == {GREY: [shape, dtype], COLOUR: []}


def test_an_array_that_a_reader_reads_otherwise(out):
    grey = next(expectations(out))
    rounded = {**grey.arrays, "checksum": {**grey.arrays["checksum"], "sha256": "other"}}
    told = {name: array for name, array in rounded.items() if name not in {"sop_instance_uid", "frame_number"}}
    assert judge(grey, "zarrita.js", {GREY: told}, "") == [
        f"checksum: sha256 other, not {grey.arrays['checksum']['sha256']}",
        "frame_number: not read",
    ]


def test_a_reader_that_ends_early_has_given_no_answer(out):
    ending = 'print(\'{"image": "another", "arrays": {}}\'); import sys; sys.exit(\'first\\nno such codec\')'
    told = ask([sys.executable, "-c", ending], {})
    assert judge(next(expectations(out)), "tensorstore", *told) == ["no answer: no such codec"]


def test_the_table(out):
    console = Console(file=io.StringIO(), width=150)
    grey, colour = expectations(out)
    right: dict[str, list[str]] = {reader: [] for reader in COMMANDS}
    assert show({"out": [(grey, right), (colour, right)]}, console) == 0
    assert show({"out": [(grey, right), (colour, {**right, "xarray": ["valid: not read"]})]}, console) == 1
    assert show({}, console) == 1
    told = console.file.getvalue()
    assert [[cell.strip() for cell in line.split("│")[3:-1]] for line in told.splitlines() if "1.5.dcm" in line] == [
        ["t,c,y,x", "3,3,5,7", "uint8", "same", word, "same", "same"] for word in ("same", "differs")
    ]
    assert "2 images, 4 readers, 0 differences" in told
    assert f"out: {COLOUR}: xarray: valid: not read\n2 images, 4 readers, 1 differences" in told
