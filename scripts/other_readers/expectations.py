"""What every reader must find in a result: according to the contract, the catalog and the stored checksums."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import zarr
from zarr.storage import LocalStore

from other_readers.python_readers import IN_FRAMES, PIXELS, describe

ON_GRID = ("checksum", "frame_number", "sop_instance_uid", "valid")
"""Arrays that every image has, with the shape of its grid."""
_LARGE = 8
"""Bytes of integers that a double can't hold."""


@dataclass(frozen=True)
class Expected:
    """What must be found in an image."""

    path: str
    files: tuple[str, ...]
    """Names of the files whose frames it holds."""
    grid: tuple[str, ...]
    arrays: Mapping[str, Mapping[str, Any]]
    """Name → what :func:`other_readers.python_readers.describe` returns; of ``pixels``, None for a frame that isn't valid."""

    rounded: Mapping[str, str]
    """Name → sha256 of the values as a reader has them that rounds the fill value to a double."""

    @property
    def pixels(self) -> Mapping[str, Any]:
        """What is expected of ``pixels``."""
        return self.arrays[PIXELS]

    def request(self) -> dict[str, Any]:
        """Return what readers are asked about it."""
        text = [name for name, wanted in self.arrays.items() if wanted["dtype"] == "text"]
        return {"numeric": [name for name in self.arrays if name not in text], "text": text, "grid": self.grid}


def expected_axes(samples: int) -> tuple[str, ...]:
    """Return the axes of ``pixels`` of frames with one sample in each pixel, or with three."""
    return ("frame", "y", "x") if samples == 1 else ("t", "c", "y", "x")


def expectations(out: Path) -> Iterator[Expected]:
    """Yield what is expected of each image of a result."""
    table = pq.read_table(out / "catalog.parquet").to_pylist()
    rows: dict[str, list[dict[str, Any]]] = {}
    for row in table:
        if row["image"] is not None:
            rows.setdefault(row["image"], []).append(row)
    for path, files in rows.items():
        group = zarr.open_group(LocalStore(out / "images.zarr", read_only=True), path=path, mode="r", zarr_format=3)
        yield _expected(path, files, group)


def _expected(path: str, files: Sequence[Mapping[str, Any]], group: zarr.Group) -> Expected:
    axes = expected_axes(files[0]["samples_per_pixel"])
    grid = tuple(name for name in axes if name not in IN_FRAMES)
    arrays = {
        name: describe(name, (array.metadata.dimension_names or [""] * array.ndim, array[...]), grid)
        for name, array in sorted(group.arrays())
    }
    for name in ON_GRID:
        arrays[name]["axes"] = list(grid)
    sizes = dict(zip(grid, group["checksum"].shape, strict=False))
    sizes |= {"y": files[0]["rows"], "x": files[0]["columns"], "c": files[0]["samples_per_pixel"]}
    stored = zip(group["checksum"][...].ravel().tolist(), group["valid"][...].ravel().tolist(), strict=True)
    arrays[PIXELS] |= {
        "axes": list(axes),
        "shape": [sizes.get(name) for name in axes],
        "dtype": files[0]["dtype"],
        "frames": [checksum if valid else None for checksum, valid in stored],
    }
    rounded = {name: digest for name, array in group.arrays() if (digest := _round_fill(array))}
    return Expected(path, tuple(Path(row["source"]).name for row in files), grid, arrays, rounded)


def _round_fill(array: zarr.Array) -> str:
    """Return the sha256 of an array of 64-bit integers without chunks, its fill value rounded to a double; else an empty text."""
    if array.dtype.kind not in "iu" or array.dtype.itemsize < _LARGE or array.nchunks_initialized:
        return ""
    rounded = int(float(array.fill_value)).to_bytes(9, "little", signed=True)[:8]  # and cut to 64 bits
    return hashlib.sha256(rounded * array.size).hexdigest()


def differences(
    expected: Expected, answer: Mapping[str, Mapping[str, Any]], *, text: bool, rounding: bool = False
) -> list[str]:
    """Return what a reader finds otherwise, one line for each difference.

    Parameters
    ----------
    text : bool
        Whether the reader reads arrays of text.
    rounding : bool
        Whether it may round fill values of 64 bits.
    answer : mapping
        Name of an array → what the reader finds, with the keys of :func:`other_readers.python_readers.describe`.
    """
    asked = expected.request()
    lines = []
    for name in [*asked["numeric"], *(asked["text"] if text else [])]:
        wanted, found = expected.arrays[name], answer.get(name)
        if found is None:
            lines.append(f"{name}: not read")
            continue
        lines += [
            f"{name}: {key} {found[key]}, not {wanted[key]}"
            for key in ("axes", "shape", "dtype", "sha256")
            if found[key] not in (wanted[key], expected.rounded.get(name) if rounding and key == "sha256" else None)
        ]
        if "frames" in found:
            lines += _different_frames(wanted["frames"], found["frames"])
    return lines


def _different_frames(wanted: Sequence[int | None], found: Sequence[int]) -> list[str]:
    if len(found) != len(wanted):
        return [f"{PIXELS}: {len(found)} frames, not {len(wanted)}"]
    wrong = [n for n, (one, other) in enumerate(zip(wanted, found, strict=True)) if one not in (None, other)]
    return [f"{PIXELS}: {len(wrong)} frames have another checksum, the first one at {wrong[0]}"] if wrong else []
