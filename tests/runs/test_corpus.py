"""Every real file at hand, through the whole pipeline, against pydicom's own iter_pixels."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pydicom
import pytest
import xxhash
import zarr
from pydicom.pixels import iter_pixels

import pipeline
from support import corpora
from support.stored_frames import stored_frames

# Files that iter_pixels decodes and that are nevertheless not converted, each with the reason.
REFUSED: dict[str, str] = {}
# Files that hold more than their frames: overlays in the unused bits of the pixels.
PARTLY_STORED = {"ovly_p01.dcm"}


def expected_frames(path: Path) -> list[np.ndarray] | None:
    """What pydicom itself yields for a file, from its path or else from its data set; None where it yields nothing.

    Lossy JPEG with the plugin that the conversion uses, or else with any.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        sources: list[Callable[[], Any]] = [lambda: path, lambda: pydicom.dcmread(path)]
        for source, options in product(sources, (corpora.same_codec(path), {})):
            try:
                return list(iter_pixels(source(), **options))
            except Exception:  # noqa: BLE001, S112  pydicom raises nearly anything on these files
                continue
    return None


@pytest.fixture(scope="module")
def converted(tmp_path_factory):
    """All corpora, converted together."""
    out = tmp_path_factory.mktemp("corpus") / "out"
    folders = [f for f in (corpora.pydicom_folder(), corpora.pydicom_data_folder(), corpora.shared_data()) if f]
    summary = pipeline.convert(folders, out, cluster={"kind": "synchronous"})
    return out, summary, pq.read_table(out / "catalog.parquet").to_pylist()


def test_every_file_has_exactly_one_row(converted, corpus_files):
    _, summary, rows = converted
    assert Counter(row["source"] for row in rows) == Counter(map(str, corpus_files))
    assert summary.files == len(rows)


def test_every_row_tells_why(converted):
    _, _, rows = converted
    assert rows
    for row in rows:
        assert row["status"] in {"converted", "failed", "rejected", "skipped"}, row["source"]
        assert (row["reason"] is None) == (row["status"] == "converted"), row["source"]
        told = row["status"] != "converted" or Path(row["source"]).name in PARTLY_STORED
        assert (row["message"] is not None) == told, row["source"]


def test_what_pydicom_decodes_is_stored_to_the_bit(converted):
    out, _, rows = converted
    store = zarr.open_group(out / "images.zarr", mode="r")
    compared, wrong = 0, {}
    for row in rows:
        expected = expected_frames(Path(row["source"]))
        if expected is None or row["reason"] == "duplicate":
            continue
        problem = compare(store, row, expected)
        compared += 1
        if problem:
            wrong[row["source"]] = problem
    assert {Path(source).name: problem for source, problem in wrong.items()} == REFUSED
    assert compared > 150


def compare(store: zarr.Group, row: dict, expected: list[np.ndarray]) -> str:
    """What is wrong with a file's row and frames; an empty text where nothing is."""
    if row["status"] != "converted":
        return f"{row['reason']}: {row['message']}"
    image = store[row["image"]]
    span = slice(row["frame_start"], row["frame_start"] + row["num_frames"])
    stored = stored_frames(image["pixels"], span)
    return compare_pixels(stored, expected) or compare_descriptions(image, span, stored, row)


def compare_pixels(stored: np.ndarray, expected: list[np.ndarray]) -> str:
    if len(expected) != len(stored):
        return f"{len(stored)} frames stored, {len(expected)} expected"
    for position, frame in enumerate(expected):
        if stored[position].shape != frame.shape or not np.array_equal(stored[position], frame):
            return f"frame {position} differs"
    return ""


def compare_descriptions(image: zarr.Group, span: slice, stored: np.ndarray, row: dict) -> str:
    if row["photometric_interpretation"] is None or row["dtype"] != str(stored.dtype):
        return f"the catalog says {row['photometric_interpretation']} {row['dtype']}, stored is {stored.dtype}"
    sums = [xxhash.xxh3_64_intdigest(np.ascontiguousarray(frame)) for frame in stored]
    if image["checksum"][span].tolist() != sums or not image["valid"][span].all():
        return "checksums or validity wrong"
    if set(image["sop_instance_uid"][span]) != {row["sop_instance_uid"] or ""}:
        return "source instance wrong"
    return ""


def test_byte_identical_copies_are_skipped_and_kept_once(converted):
    _, _, rows = converted
    copies = [row for row in rows if row["reason"] == "duplicate"]
    by_source = {row["source"]: row for row in rows}
    for row in copies:
        kept = row["message"].removeprefix("Byte-identical copy of ")
        assert by_source[kept]["reason"] != "duplicate"
        assert Path(kept).read_bytes() == Path(row["source"]).read_bytes()
    assert copies
