"""Read arrays with a reader of Python, in an environment that holds readers and nothing of this project.

``python python_readers.py READER < request``: the request is a JSON object of ``store``, the path of ``images.zarr``, and
``images``: path → ``numeric`` and ``text``, names of arrays, and ``grid``, the axes that tell frames apart. The answer is a
line of JSON for each image, with ``image`` and ``arrays``: name → what :func:`describe` returns.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterator, Sequence
from typing import Any

import numpy.typing as npt
import xxhash

PIXELS = "pixels"
IN_FRAMES = ("y", "x", "c")
"""Axes of a frame, in the order of its checksum: row, column, sample."""
Array = tuple[Sequence[str], npt.NDArray[Any]]
"""The names of an array's axes, and its values."""


def read_with_zarr(store: str, image: str, names: Sequence[str]) -> Iterator[tuple[str, Array]]:
    """Yield arrays of an image as zarr-python reads them."""
    import zarr  # noqa: PLC0415  a reader may be missing

    group = zarr.open_group(store, path=image, mode="r", zarr_format=3)
    for name in names:
        array = group[name]
        yield name, (array.metadata.dimension_names or [""] * array.ndim, array[...])


def read_with_xarray(store: str, image: str, names: Sequence[str]) -> Iterator[tuple[str, Array]]:
    """Yield arrays of an image as xarray's ``open_zarr`` reads them, through Dask."""
    import xarray as xr  # noqa: PLC0415  a reader may be missing

    with xr.open_zarr(f"{store}/{image}") as dataset:
        for name in names:
            variable = dataset.variables[name]
            yield name, (variable.dims, variable.to_numpy())


def read_with_tensorstore(store: str, image: str, names: Sequence[str]) -> Iterator[tuple[str, Array]]:
    """Yield arrays of an image as tensorstore reads them."""
    import tensorstore as ts  # noqa: PLC0415  a reader may be missing

    for name in names:
        place = {"driver": "file", "path": f"{store}/{image}/{name}"}
        array = ts.open({"driver": "zarr3", "kvstore": place}).result()
        yield name, (array.domain.labels, array.read().result())


READERS = {"zarr-python": read_with_zarr, "xarray": read_with_xarray, "tensorstore": read_with_tensorstore}
WITHOUT_TEXT = ("tensorstore", "zarrita.js")
"""Readers that can't read arrays of text."""
ROUNDING = ("zarrita.js",)
"""Readers that round a fill value of 64 bits to a double, because ``JSON.parse`` does. docs/output.md says so."""


def describe(name: str, array: Array, grid: Sequence[str]) -> dict[str, Any]:
    """Describe an array by ``axes``, ``shape``, ``dtype``, and the ``sha256`` of its values as little-endian bytes in C order.

    ``pixels`` also has ``frames``: the xxh3_64 of each frame, none if there are no such axes. Of text, the JSON is hashed.
    """
    axes, values = array
    is_text = values.dtype.kind in "OTU"
    little = (
        json.dumps(values.tolist()).encode() if is_text else values.astype(values.dtype.newbyteorder("<")).tobytes()
    )
    told = {
        "axes": list(axes),
        "shape": list(values.shape),
        "dtype": "text" if is_text else values.dtype.name,
        "sha256": hashlib.sha256(little).hexdigest(),
    }
    return told | ({"frames": frame_checksums(array, grid)} if name == PIXELS else {})


def frame_checksums(array: Array, grid: Sequence[str]) -> list[int]:
    """Return the xxh3_64 of each frame's little-endian bytes in the order (row, column, sample), in C order of the grid."""
    axes, values = array
    order = [*grid, *(name for name in IN_FRAMES if name in axes and name not in grid)]
    if sorted(order) != sorted(axes):
        return []
    frames = values.transpose([list(axes).index(name) for name in order])
    frames = frames.reshape(-1, *frames.shape[len(grid) :])
    little = values.dtype.newbyteorder("<")
    return [xxhash.xxh3_64_intdigest(frame.astype(little).tobytes()) for frame in frames]


def answers(reader: str, request: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the answer for each image of a request."""
    for image, asked in request["images"].items():
        names = [*asked["numeric"], *([] if reader in WITHOUT_TEXT else asked["text"])]
        arrays = READERS[reader](request["store"], image, names)
        yield {"image": image, "arrays": {name: describe(name, array, asked["grid"]) for name, array in arrays}}


if __name__ == "__main__":
    for answer in answers(sys.argv[1], json.load(sys.stdin)):
        print(json.dumps(answer), flush=True)
