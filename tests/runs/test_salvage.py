"""A damaged multi-frame file: failed as a whole, or its sound frames stored and the missing ones marked."""

from __future__ import annotations

import numpy as np
import pyarrow.parquet as pq
import pytest
import zarr

import pipeline
from pipeline.verify import verify
from support.dicom_bytes import encapsulated_file, encapsulated_value, native_file, rle_frame, table_offsets
from support.stored_frames import stored_frames

FRAMES, MIDDLE = 7, 3
PLANES = [np.random.default_rng(i).integers(1, 255, (4, 4), np.uint8) for i in range(FRAMES)]


def encoded(damaged: int | None = None) -> bytes:
    fragments = [rle_frame(plane) for plane in PLANES]
    if damaged is not None:
        fragments[damaged] = fragments[damaged][:64] + b"\x80" * (len(fragments[damaged]) - 64)
    value = encapsulated_value(fragments, table_offsets(fragments, range(FRAMES)))
    return encapsulated_file(value, frames=FRAMES, SOPInstanceUID="1.2.3.5")


DAMAGED = {
    "a frame that can't be decoded": (encoded(MIDDLE), "decode_failed", {MIDDLE}),
    "cut in the fifth frame": (encoded()[: encoded().index(rle_frame(PLANES[4])) - 8], "frames_missing", {4, 5, 6}),
    "native and too short": (
        native_file(np.stack(PLANES[:5]).tobytes(), frames=FRAMES, SOPInstanceUID="1.2.3.6"),
        "pixel_data_too_short",
        {5, 6},
    ),
}


def convert(folder, data: bytes, *, salvage: bool) -> tuple[dict, zarr.Group]:
    (folder / "source").mkdir()
    (folder / "source" / "image.dcm").write_bytes(data)
    decode = {"salvage": salvage}
    # two frames a shard: the file's frames are spread over several tasks and regions
    output = {"shard": "32 B"}
    summary = pipeline.convert(
        folder / "source", folder / "out", cluster={"kind": "synchronous"}, decode=decode, output=output
    )
    assert summary.exit_code == 1
    (row,) = pq.read_table(folder / "out" / "catalog.parquet").to_pylist()
    return row, zarr.open_group(folder / "out" / "images.zarr", mode="r")


@pytest.mark.parametrize("name", DAMAGED)
def test_without_salvage_nothing_of_it_is_stored(tmp_path, name):
    data, reason, _ = DAMAGED[name]
    row, store = convert(tmp_path, data, salvage=False)
    assert row["status"] == "failed"
    assert row["reason"] in {reason, "damaged_pixel_data"}
    assert (row["image"], row["frames_missing"]) == (None, None)
    assert not list(store.groups())


@pytest.mark.parametrize("name", DAMAGED)
def test_with_salvage_the_sound_frames_are_stored_and_the_others_marked(tmp_path, name):
    data, reason, missing = DAMAGED[name]
    row, store = convert(tmp_path, data, salvage=True)
    assert (row["status"], row["reason"]) == ("failed", reason)
    assert (row["num_frames"], row["frames_missing"], row["frame_start"]) == (FRAMES, len(missing), 0)
    assert f"all but {len(missing)} of {FRAMES}" in row["message"]
    image = store[row["image"]]
    assert image.attrs["frames_missing"] == len(missing)
    assert set(np.flatnonzero(~image["valid"][:])) == missing
    for position, plane in enumerate(PLANES):
        stored = stored_frames(image["pixels"], position)
        assert (stored == (0 if position in missing else plane)).all()
        assert (image["checksum"][position] == 0) == (position in missing)
    assert not verify(str(tmp_path / "out"), cluster={"kind": "synchronous"}).problems
    with pytest.warns(UserWarning, match=f"{len(missing)} of {FRAMES} frames are missing"):
        opened = pipeline.open(tmp_path / "out")[row["image"]]
    assert opened.pixels.isel(frame=opened.valid.values).shape[0] == FRAMES - len(missing)


def test_going_on_with_a_finished_run_changes_nothing_of_it(tmp_path):
    before, _ = convert(tmp_path, encoded(MIDDLE), salvage=True)
    pipeline.convert(
        tmp_path / "source",
        tmp_path / "out",
        cluster={"kind": "synchronous"},
        decode={"salvage": True},
        output={"shard": "32 B"},
    )
    (after,) = pq.read_table(tmp_path / "out" / "catalog.parquet").to_pylist()
    assert after == before


def test_a_file_with_hardly_any_of_its_frames_is_not_salvaged(tmp_path):
    data = native_file(PLANES[0].tobytes(), frames=2**31 - 1, SOPInstanceUID="1.2.3.7")
    row, _ = convert(tmp_path, data, salvage=True)
    assert (row["status"], row["reason"], row["image"]) == ("failed", "pixel_data_too_short", None)


def test_a_single_frame_that_fails_leaves_nothing_to_salvage(tmp_path):
    data = encapsulated_file(encapsulated_value([b"\x80" * 80]), frames=1, SOPInstanceUID="1.2.3.8")
    row, store = convert(tmp_path, data, salvage=True)
    assert (row["status"], row["reason"], row["image"]) == ("failed", "decode_failed", None)
    assert not list(store.groups())
