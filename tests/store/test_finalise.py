"""Finishing an image: everything in place, attributes last, readable by any reader, the same bytes again."""

from __future__ import annotations

import json
import multiprocessing
import warnings
from pathlib import Path

import dask.array as da
import numpy as np
import pytest
import xarray as xr
import zarr
from zarr.storage import LocalStore

from pipeline.errors import OutputError
from pipeline.model import ImageSpec, PixelFormat, frame_axes
from pipeline.storage import OutputDir
from pipeline.store import (
    create_root,
    finalise_image,
    image_layouts,
    list_images,
    open_image,
    open_pixels,
    remove_image,
    write_region,
)

CODEC = {"name": "blosc", "cname": "zstd", "clevel": 1, "shuffle": "auto"}
PATH = "1.2/1.2.3/image"
FRAMES = 10


def little_image(path=PATH, frames=FRAMES):
    return ImageSpec(
        path,
        "1.2",
        "1.2.3",
        "CT",
        PixelFormat(6, 5, 1, "int16", "MONOCHROME2"),
        frame_axes(3),
        (frames,),
        (1, 6, 5),
        (4, 6, 5),
        "",
        (),
    )


def pixels(frames=FRAMES):
    return np.arange(frames * 30, dtype=np.int16).reshape(frames, 6, 5) - 40


def per_frame(frames=FRAMES):
    return {
        "sop_instance_uid": np.array([f"1.2.3.{number}" for number in range(frames)]),
        "frame_number": np.ones(frames, np.int32),
        "checksum": np.arange(frames, dtype=np.uint64) + 2**63,
        "valid": np.ones(frames, bool),
        "ImagePositionPatient": np.arange(3.0 * frames).reshape(frames, 3),
        "PixelSpacing": np.full((frames, 2), 0.5),
        "AcquisitionTime": np.array(["", "ä"] * (frames // 2), object),
    }


ATTRIBUTES = {"Modality": "CT", "RescaleSlope": np.float32(2.0), "PixelSpacing": (0.5, 0.25), "Note": None}


def write_shards(out, spec=None, shards=None):
    spec = spec or little_image()
    values = pixels(spec.frames)
    for start in range(0, spec.frames, 4):
        if shards is None or start // 4 in shards:
            write_region(OutputDir.of(out), spec, start, values[start : start + 4], CODEC)


def finish(out, spec=None, **changes):
    spec = spec or little_image()
    given = {"codec": CODEC, "per_frame": per_frame(spec.frames), "attributes": ATTRIBUTES} | changes
    finalise_image(OutputDir.of(out), spec, **given)


def test_per_frame_arrays_of_a_long_image_are_written_in_parts(tmp_path):
    frames = 2 * 2**14 + 6
    one = PixelFormat(1, 1, 1, "uint8", "MONOCHROME2")
    spec = ImageSpec(PATH, "1.2", "1.2.3", "SM", one, frame_axes(3), (frames,), (1, 1, 1), (frames, 1, 1), "", ())
    create_root(OutputDir.of(tmp_path))
    write_region(OutputDir.of(tmp_path), spec, 0, np.zeros((frames, 1, 1), np.uint8), CODEC)
    given = per_frame(frames)
    finish(str(tmp_path), spec, per_frame=given)
    group = zarr.open_group(tmp_path / "images.zarr" / PATH, mode="r")
    for name, values in given.items():
        np.testing.assert_array_equal(group[name][...], values)
    chunks = {path.name for path in (tmp_path / "images.zarr" / PATH / "sop_instance_uid" / "c").iterdir()}
    assert chunks == {"0", "1", "2"}


@pytest.fixture
def out(tmp_path):
    create_root(OutputDir.of(tmp_path))
    write_shards(str(tmp_path))
    finish(str(tmp_path))
    return str(tmp_path)


def contents(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in Path(folder).rglob("*") if p.is_file()}


def test_the_group_says_complete_and_carries_the_attributes(out):
    group = open_image(OutputDir.of(out), PATH)
    assert dict(group.attrs) == {
        "Modality": "CT",
        "RescaleSlope": 2.0,
        "PixelSpacing": [0.5, 0.25],
        "Note": None,
        "status": "complete",
    }
    assert (group["pixels"][...] == pixels()).all()
    assert (open_pixels(OutputDir.of(out), PATH)[7] == pixels()[7]).all()


def test_per_frame_arrays_come_back(out):
    group = open_image(OutputDir.of(out), PATH)
    for name, values in per_frame().items():
        stored = group[name]
        assert (np.asarray(stored[...]).astype(values.dtype) == values).all(), name
        assert stored.metadata.dimension_names[0] == "frame"
    assert group["ImagePositionPatient"].metadata.dimension_names == ("frame", "component_3")
    assert "xxh3_64" in group["checksum"].attrs["description"]
    assert group["checksum"].dtype == np.uint64


def test_the_hierarchy_can_be_browsed_from_its_root(out):
    root = zarr.open_group(f"{out}/images.zarr", mode="r")
    assert list(root.group_keys()) == ["1.2"]
    assert list(root["1.2"].group_keys()) == ["1.2.3"]
    assert "image" in root["1.2/1.2.3"]
    assert (root[f"{PATH}/pixels"][...] == pixels()).all()


@pytest.mark.parametrize("consolidated", [None, False, True])
def test_xarray_opens_it_without_a_warning(out, consolidated):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        dataset = xr.open_zarr(f"{out}/images.zarr/{PATH}", consolidated=consolidated).load()
    assert list(dataset.data_vars) == ["pixels"]
    assert set(dataset.coords) == set(per_frame())
    assert dataset.pixels.dims == ("frame", "y", "x")
    assert dataset.pixels.dtype == np.int16
    assert (dataset.pixels == pixels()).all()
    assert dataset.attrs["status"] == "complete"


def test_dask_and_zarr_open_it_without_a_warning(out):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert (da.from_zarr(f"{out}/images.zarr/{PATH}/pixels").compute() == pixels()).all()
        members = dict(zarr.open_group(f"{out}/images.zarr", mode="r").members(max_depth=None))
        assert set(per_frame()) <= {name.rsplit("/", 1)[-1] for name in members}


def test_zarrs_reads_it(out):
    with zarr.config.set({"codec_pipeline.path": "zarrs.ZarrsCodecPipeline", "codec_pipeline.strict": True}):
        assert (zarr.open_array(f"{out}/images.zarr/{PATH}/pixels", mode="r")[...] == pixels()).all()


@pytest.mark.parametrize(
    ("values", "fill"),
    [
        (np.full(FRAMES, 2**64 - 1, np.uint64), 2**64 - 1),
        (np.full(FRAMES, -3, np.int32), -3),
        (np.ones(FRAMES, bool), True),
        (np.full(FRAMES, 0.1), 0.1),
        (np.full((FRAMES, 2), np.nan), "NaN"),
        (np.full(FRAMES, -np.inf), "-Infinity"),
        (np.full(FRAMES, np.inf, np.float32), "Infinity"),
        (np.full(FRAMES, -0.0), -0.0),
        (np.full(FRAMES, "1.2 ü", object), "1.2 ü"),
        (np.broadcast_to(np.array("", object), (FRAMES,)), ""),
    ],
)
def test_one_value_for_all_frames_is_a_fill_value_without_chunk(tmp_path, values, fill):
    create_root(OutputDir.of(tmp_path))
    write_shards(tmp_path)
    leftover = tmp_path / "images.zarr" / PATH / "Same" / "c" / "0"
    leftover.parent.mkdir(parents=True)
    leftover.write_bytes(b"of a dead run")
    finish(tmp_path, per_frame=per_frame() | {"Same": values})
    group = tmp_path / "images.zarr" / PATH
    assert [path.name for path in (group / "Same").rglob("*") if path.is_file()] == ["zarr.json"]
    document = json.loads((group / "Same" / "zarr.json").read_text("utf-8"))
    assert (document["fill_value"], str(document["fill_value"])) == (fill, str(fill))
    consolidated = json.loads((group / "zarr.json").read_text("utf-8"))["consolidated_metadata"]["metadata"]
    assert consolidated["Same"] == document
    stored = np.asarray(zarr.open_group(group, mode="r")["Same"][...])
    assert stored.shape == values.shape
    if values.dtype.kind == "f":
        assert stored.dtype == values.dtype
        assert stored.tobytes() == values.tobytes()
    else:
        assert stored.tolist() == values.tolist()


@pytest.mark.parametrize(
    "values", [[0.0, -0.0], [np.nan, 0.0], [1.0, np.nextafter(1.0, 2.0)], ["", "a"], [2**53, 2**53 + 1]]
)
def test_values_that_differ_in_a_bit_have_chunks(tmp_path, values):
    create_root(OutputDir.of(tmp_path))
    write_shards(tmp_path)
    given = np.array(values * (FRAMES // 2), object if isinstance(values[0], str) else None)
    finish(tmp_path, per_frame={"Different": given})
    group = tmp_path / "images.zarr" / PATH
    assert (group / "Different" / "c" / "0").is_file()
    stored = np.asarray(zarr.open_group(group, mode="r")["Different"][...])
    assert stored.tolist() == given.tolist() or stored.tobytes() == given.tobytes()


def test_finishing_again_gives_the_same_bytes(out):
    before = contents(out)
    finish(out)
    assert contents(out) == before


def test_another_run_gives_the_same_bytes(out, tmp_path_factory):
    other = str(tmp_path_factory.mktemp("other"))
    write_shards(other)
    finish(other)
    assert contents(other) == contents(out)


def test_attributes_are_written_last(tmp_path, monkeypatch):
    out, written = str(tmp_path), []
    original = LocalStore.set

    async def recording(self, key, value):
        written.append(key)
        await original(self, key, value)

    write_shards(out)
    monkeypatch.setattr(LocalStore, "set", recording)
    finish(out)
    assert written[-2:] == [f"{PATH}/pixels/zarr.json", f"{PATH}/zarr.json"]
    assert "zarr.json" in written[:-2]
    assert "1.2/zarr.json" in written[:-2]


def test_a_missing_shard_cannot_be_finished(tmp_path):
    out = str(tmp_path)
    write_shards(out, shards={0, 2})
    with pytest.raises(OutputError, match=r"lacks 1 of 3 shards, first .*/pixels/c/1/0/0"):
        finish(out)
    assert not list(tmp_path.rglob("zarr.json"))


def test_a_shard_without_a_valid_frame_may_be_missing(tmp_path):
    out = str(tmp_path)
    write_shards(out, shards={0, 2})
    valid = np.ones(FRAMES, bool)
    valid[4:8] = False
    finish(out, per_frame=per_frame() | {"valid": valid})
    assert open_image(OutputDir.of(out), PATH)["valid"][...].tolist() == valid.tolist()


def test_files_of_a_dead_run_are_removed(tmp_path):
    out = str(tmp_path)
    write_shards(out)
    image = tmp_path / "images.zarr" / PATH
    (image / "pixels" / "c" / "0" / "0" / "0.deadbeef.partial").write_bytes(b"half")
    (image / "OldArray" / "c").mkdir(parents=True)
    (image / "OldArray" / "zarr.json").write_bytes(b"{}")
    (image / "pixels" / "c" / "9" / "0").mkdir(parents=True)
    (image / "pixels" / "c" / "9" / "0" / "0").write_bytes(b"a shard beyond the image")
    finish(out)
    clean = tmp_path / "clean"
    write_shards(str(clean))
    finish(str(clean))
    assert contents(tmp_path / "images.zarr") == contents(clean / "images.zarr")


def test_groups_above_keep_their_attributes(out):
    zarr.open_group(f"{out}/images.zarr/1.2", mode="r+").attrs["mine"] = 1
    other = little_image("1.2/1.2.3/other")
    write_shards(out, other)
    finish(out, other)
    create_root(OutputDir.of(out))
    assert zarr.open_group(f"{out}/images.zarr/1.2", mode="r").attrs["mine"] == 1
    assert list_images(OutputDir.of(out)) == [PATH, "1.2/1.2.3/other"]


def finish_one(arguments):
    out, number = arguments
    spec = little_image(f"study/series{number % 2}/image{number}", 4)
    write_shards(out, spec)
    finish(out, spec)


def test_many_processes_finish_at_once(tmp_path):
    out = str(tmp_path)
    with multiprocessing.get_context("spawn").Pool(3) as pool:
        tasks = [(out, number) for number in range(9)]
        pool.map_async(finish_one, tasks, chunksize=1).get(timeout=600)  # a worker that can't begin would never end
    assert len(list_images(OutputDir.of(out))) == 9
    assert not [path for path in tmp_path.rglob("*") if path.suffix == ".partial"]


def test_json_is_strict(tmp_path):
    out = str(tmp_path)
    write_shards(out)
    finish(out, attributes={"a": float("nan"), "b": [np.inf, {"c": -np.inf}], "d": np.arange(2), "e": np.bool_(1)})

    def refuse(token):
        raise AssertionError(token)

    for document in tmp_path.rglob("zarr.json"):
        json.loads(document.read_text(), parse_constant=refuse)
    attributes = dict(open_image(OutputDir.of(out), PATH).attrs)
    assert attributes == {
        "a": "NaN",
        "b": ["Infinity", {"c": "-Infinity"}],
        "d": [0, 1],
        "e": True,
        "status": "complete",
    }


def test_values_that_json_lacks_are_named(tmp_path):
    write_shards(str(tmp_path))
    with pytest.raises(OutputError, match=r"Attribute 'Outer\.Inner' holds a bytes, which JSON can't hold"):
        finish(str(tmp_path), attributes={"Outer": {"Inner": b"x"}})


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        (np.zeros(FRAMES - 1), r"shape \(9,\); expected 10 frames"),
        (np.zeros((FRAMES, 2, 2)), "expected 10 frames in 1 or 2 axes"),
        (np.array(["a", None] * 5, object), "mixes text with NoneType$"),
        (np.zeros(FRAMES, complex), "has dtype complex128"),
    ],
)
def test_a_per_frame_array_that_does_not_fit_is_refused(tmp_path, values, complaint):
    write_shards(str(tmp_path))
    with pytest.raises(OutputError, match=complaint):
        finish(str(tmp_path), per_frame={"Strange": values})


@pytest.mark.parametrize("path", ["../up", "a/../../b", "/a", "a//b", "", ".", "a/...", "__a", "a/zarr.json", "a\\b"])
def test_a_path_that_leads_out_is_refused(tmp_path, path):
    with pytest.raises(OutputError, match="can't be an image's path"):
        finish(str(tmp_path), little_image(path))
    with pytest.raises(OutputError, match="can't be an image's path"):
        remove_image(OutputDir.of(tmp_path), path)


def test_a_removed_image_leaves_no_empty_folder(out):
    other = little_image("9/9.9/other")
    write_shards(out, other)
    remove_image(OutputDir.of(out), "9/9.9/other")
    remove_image(OutputDir.of(out), "9/9.9/other")
    assert {path.name for path in (Path(out) / "images.zarr").iterdir()} == {"zarr.json", "1.2"}
    remove_image(OutputDir.of(out), PATH)
    assert list_images(OutputDir.of(out)) == []


def test_layouts_are_what_zarr_says(out):
    (layout,) = image_layouts(OutputDir.of(out))
    stored = zarr.open_array(f"{out}/images.zarr/{PATH}/pixels", mode="r")
    assert (layout.path, layout.shape, layout.dtype) == (PATH, stored.shape, str(stored.dtype))
    assert (layout.chunks, layout.shards) == (stored.chunks, stored.shards)
    assert layout.attributes["Modality"] == "CT"


def test_an_image_of_one_chunk_a_shard_is_not_sharded(tmp_path):
    spec = ImageSpec(
        "a", "", "", "", PixelFormat(6, 5, 1, "int16", ""), frame_axes(3), (1,), (1, 6, 5), (1, 6, 5), "", ()
    )
    write_region(OutputDir.of(tmp_path), spec, 0, pixels(1), CODEC)
    finish(str(tmp_path), spec, per_frame={})
    (layout,) = image_layouts(OutputDir.of(tmp_path))
    assert layout.chunks == layout.shards == (1, 6, 5)
    assert open_image(OutputDir.of(tmp_path), "a")["pixels"].shards is None


def test_an_unknown_image_is_answered_with_similar_paths(out):
    with pytest.raises(OutputError, match=r"no complete image '1.2/1.2.3/imag'.*did you mean '1.2/1.2.3/image'"):
        open_image(OutputDir.of(out), "1.2/1.2.3/imag")


def test_a_folder_that_is_no_result_is_named(tmp_path):
    with pytest.raises(OutputError, match="isn't the result of a conversion"):
        list_images(OutputDir.of(tmp_path))
