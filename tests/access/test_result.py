"""Opening a result: a mapping of images, a table, and nothing read before it is asked for."""

from __future__ import annotations

import shutil
import warnings
from dataclasses import replace

import dask
import numpy as np
import pytest
from zarr.storage import LocalStore

from pipeline import access
from pipeline.errors import OutputError
from pipeline.model import ImageSpec, PixelFormat, frame_axes
from pipeline.storage import OutputDir
from pipeline.store import create_root, finalise_image, write_region
from pipeline.units import short_path

CODEC = {"name": "zstd", "level": 1}
SPEC = ImageSpec(
    "1.2/1.2.3/stack-1",
    "1.2",
    "1.2.3",
    "CT",
    PixelFormat(6, 5, 1, "int16", "MONOCHROME2"),
    frame_axes(3),
    (10,),
    (1, 6, 5),
    (4, 6, 5),
    "",
    (),
)
COLOUR = replace(
    SPEC,
    path="1.2/1.2.9/slide",
    format=PixelFormat(6, 5, 3, "uint8", "RGB"),
    axes=frame_axes(4),
    sizes=(2,),
    chunks=(1, 3, 6, 5),
    shards=(2, 3, 6, 5),
)
ATTRIBUTES = {"Modality": "CT", "SeriesDescription": "<b>Head & neck</b>", "WindowCenter": 40.0}


def frames(spec):
    return np.random.default_rng(3).integers(0, 200, (spec.frames, *spec.format.frame_shape)).astype(spec.format.dtype)


def values(spec):
    """The frames as ``pixels`` has them: colour is planar."""
    return np.moveaxis(frames(spec), -1, 1) if len(spec.shape) > 3 else frames(spec)


def store(out, spec, **attributes):
    for start in range(0, spec.frames, spec.shards[0]):
        write_region(OutputDir.of(out), spec, start, frames(spec)[start : start + spec.shards[0]], CODEC)
    per_frame = {
        "frame_number": np.arange(1, spec.frames + 1, dtype=np.int32),
        "sop_instance_uid": np.array([f"1.{n}" for n in range(spec.frames)]),
        "ImagePositionPatient": np.zeros((spec.frames, 3)),
    }
    finalise_image(OutputDir.of(out), spec, codec=CODEC, per_frame=per_frame, attributes=ATTRIBUTES | attributes)


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    folder = str(tmp_path_factory.mktemp("result"))
    create_root(OutputDir.of(folder))
    store(folder, SPEC)
    store(folder, COLOUR, frames_missing=1)
    return folder


@pytest.fixture(scope="module")
def images(out):
    return access.open(out, unfinished=True)


def test_it_is_a_mapping_of_paths(images):
    assert list(images) == [SPEC.path, COLOUR.path]
    assert len(images) == 2
    assert SPEC.path in images
    assert "1.2" not in images


def test_a_dataset_has_pixels_coordinates_and_attributes(images):
    dataset = images[SPEC.path]
    assert dataset.pixels.dims == ("frame", "y", "x")
    assert set(dataset.coords) == {"frame_number", "sop_instance_uid", "ImagePositionPatient"}
    assert dataset.attrs == {**ATTRIBUTES, "status": "complete"}
    assert (dataset.pixels.compute() == values(SPEC)).all()
    assert dataset.frame_number.values.tolist() == list(range(1, 11))
    with pytest.warns(UserWarning, match=r"slide: 1 of 2 frames are missing, their pixels mean nothing"):
        assert images[COLOUR.path].pixels.dims == ("t", "c", "y", "x")


def test_blocks_are_shards_unless_chunks_are_asked_for(out, images):
    assert images[SPEC.path].pixels.chunks == ((4, 4, 2), (6,), (5,))
    by_chunk = access.open(out, chunks="chunk", unfinished=True)[SPEC.path].pixels
    assert by_chunk.chunks == ((1,) * 10, (6,), (5,))
    assert (by_chunk.compute() == values(SPEC)).all()
    with pytest.raises(ValueError, match="expected 'shard' or 'chunk'"):
        access.open(out, chunks="frame", unfinished=True)


def test_opening_computes_nothing_and_reads_no_pixels(out, monkeypatch):
    read = []
    original = LocalStore.get

    async def recording(self, key, *arguments, **options):
        read.append(key)
        return await original(self, key, *arguments, **options)

    def computing(*_):
        raise AssertionError("something was computed")

    monkeypatch.setattr(LocalStore, "get", recording)
    with dask.config.set(scheduler=computing):
        images = access.open(out, unfinished=True)
        assert read == []
        dataset = images[SPEC.path]
        assert "frame" in repr(dataset)
        assert not [key for key in read if "/c/" in key]
    assert {key.split("/")[-1] for key in read} == {"zarr.json"}
    read.clear()
    dataset.pixels[5].compute()
    assert {key for key in read if "pixels/c/" in key} == {f"{SPEC.path}/pixels/c/1/0/0"}


def test_no_warning_on_the_way(out):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        access.open(out, unfinished=True)["stack"].load()


@pytest.mark.parametrize(
    "key",
    [
        "1.2/1.2.3/stack-1",
        "/1.2/1.2.3/",
        "1.2/1.2.3",
        "1.2.3",
        "stack-1",
        "stack",
        "1.2/1.2.3/st",
        "tack",
        "…2/…3/stack-1",
    ],
)
def test_unique_parts_of_a_path_will_do(images, key):
    assert images.find(key) == SPEC.path


@pytest.mark.parametrize(
    ("key", "answer"),
    [
        ("1.2", "fits 2 images: 1.2/1.2.3/stack-1, 1.2/1.2.9/slide"),
        ("slidd", "near it are 1.2/1.2.9/slide"),
        ("", "No image ''"),
    ],
)
def test_other_keys_are_answered(images, key, answer):
    with pytest.raises(KeyError, match=answer):
        images[key]


def test_whatever_its_folder_is_called(out, tmp_path):
    """A path is no URL, although zarr 3.4 takes it for one where it comes as a text."""
    moved = tmp_path / "a#b?c=d;e%20f:g"
    shutil.copytree(out, moved)
    images = access.open(moved, unfinished=True)
    assert images[SPEC.path].pixels[0].compute().shape == (6, 5)


def test_a_path_cannot_lead_out(images):
    with pytest.raises(KeyError):
        images["1.2/../1.2/1.2.3/stack-1"]


def test_an_exact_path_needs_no_listing(out, monkeypatch):
    monkeypatch.setattr("pipeline.store.list_images", lambda _: pytest.fail("listed"))
    assert access.open(out, unfinished=True)[SPEC.path].pixels.shape == SPEC.shape


def test_the_table(images):
    first, second = images.images
    assert (first.path, first.shape, first.dtype) == (SPEC.path, (10, 6, 5), "int16")
    assert (first.chunks, first.shards, first.modality, first.status) == ((1, 6, 5), (4, 6, 5), "CT", "complete")
    assert second.status == "1 frame(s) missing"
    text = repr(images)
    assert "Result of 2 image(s)" in text
    assert "10 \u00d7 6 \u00d7 5" in text
    frame = images.images.to_pandas()
    assert list(frame.columns) == list(access.table.COLUMNS)
    assert frame.shards.tolist() == [(4, 6, 5), (2, 3, 6, 5)]


def test_a_path_as_the_table_shortens_it_is_a_key(images):
    long = "1.2.826.0.1.3680043.8.498.12406831542731051035295345080039845114"
    short = short_path(f"{long}/{long}1/stack-1")
    assert short == "…5080039845114/…0800398451141/stack-1"
    row = replace(images.images[0], path=f"{long}/{long}1/stack-1")
    assert short in repr(access.ImageTable([row]))
    assert f"title='{row.path}'" in access.ImageTable([row])._repr_html_()


def test_the_table_in_a_notebook_is_escaped(images):
    html = images._repr_html_()
    assert "&lt;b&gt;Head &amp; neck&lt;/b&gt;" in html
    assert "<b>" not in html


def test_a_long_table_is_cut_short(images):
    table = access.ImageTable([images.images[0]] * 1000)
    assert len(repr(table).splitlines()) == access.table.SHOWN + 2
    assert "… and 960 more" in repr(table)
    assert "… and 960 more" in table._repr_html_()
    assert len(table[5:8]) == 3


def test_what_is_no_result_is_named(tmp_path):
    with pytest.raises(OutputError, match="isn't the result of a conversion"):
        access.open(tmp_path)


def test_an_unfinished_run_is_refused_unless_asked_for(out):
    assert not OutputDir.of(out).catalog.exists()
    with pytest.raises(OutputError, match=r"has not finished.*unfinished=True"):
        access.open(out)
    with pytest.raises(OutputError):
        len(access.open(out, unfinished=True).catalog)
