"""Zarr metadata of each array, made by zarr itself, in memory, before any of it is on disk.

An array with one value for all frames has that value as its ``fill_value``, and no chunk.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import zarr
from zarr.storage import MemoryStore, StorePath

from pipeline.errors import OutputError
from pipeline.model import ImageSpec
from pipeline.storage import ZARR_JSON
from pipeline.store.compression import codec_arguments

PIXELS = "pixels"
_PER_FRAME_CHUNK = 2**14
"""Frames per chunk of the per-frame arrays: one chunk for all but long images. Storing a text takes a quarter of a KiB of
memory per frame of a chunk."""

_MEANING: dict[str, str] = {
    "sop_instance_uid": "SOP Instance UID of the instance that the frame comes from",
    "frame_number": "DICOM frame number, from 1, of the frame in its instance",
    "checksum": "xxh3_64 of the frame's decoded pixels as little-endian bytes in the order (row, column, sample)",
    "valid": "false where the frame could not be decoded: its pixels then mean nothing",
}


@dataclass(frozen=True, slots=True)
class ArrayDocument:
    """An array's metadata: as the text of ``zarr.json``, and as zarr's own value."""

    text: bytes
    metadata: Any
    has_chunks: bool = True
    """Whether the array has chunks; an array without them has one value everywhere."""

    def bind(self, store: Any, path: str) -> zarr.AsyncArray[Any]:
        """Return the array at `path` of `store`, whether or not its metadata has been written.

        Chunks that hold only the fill value are written like all others: a missing chunk means missing
        pixels, never zeros.
        """
        place = StorePath(store, path)
        return zarr.AsyncArray(self.metadata, place, config={"write_empty_chunks": True, "order": "C"})

    @property
    def json(self) -> dict[str, Any]:
        """The document, parsed."""
        parsed: dict[str, Any] = json.loads(self.text)
        return parsed


def pixels_document(spec: ImageSpec, codec: Mapping[str, Any], coordinates: Iterable[str] = ()) -> ArrayDocument:
    """Describe the image's ``pixels``; `coordinates` names the per-frame arrays (CF conventions 5, for xarray)."""
    sharded = spec.shards != spec.chunks
    names = " ".join(coordinates)
    return array_document(
        spec.shape,
        spec.format.dtype,
        spec.chunks,
        shards=spec.shards if sharded else None,
        dimension_names=spec.axes.names,
        attributes={"coordinates": names} if names else {},
        **codec_arguments(codec, spec.format.dtype, spec.format.samples_per_pixel),
    )


def per_frame_document(name: str, values: npt.NDArray[Any], grid: tuple[str, ...]) -> ArrayDocument:
    """Describe one per-frame array over the grid's axes, perhaps with the axis ``component``."""
    text = values.dtype.kind == "O"
    document = _per_frame_document(values.shape, grid, "string" if text else values.dtype.name, _MEANING.get(name, ""))
    return _without_chunks(document, values.flat[0]) if has_one_value(values) else document


def has_one_value(values: npt.NDArray[Any]) -> bool:
    """Return whether all elements of a per-frame array are the same to the bit, or all are NaN."""
    if not any(stride for stride, size in zip(values.strides, values.shape, strict=True) if size > 1):
        return True
    if values.dtype.kind == "f" and np.isnan(values).all():
        return True
    comparable = values.view(f"u{values.itemsize}") if values.dtype.kind == "f" else values
    return bool((comparable == comparable.flat[0]).all())


def _without_chunks(document: ArrayDocument, value: Any) -> ArrayDocument:
    """Return the metadata of an array that has `value` everywhere (Zarr v3 core, "Fill value")."""
    plain = value if isinstance(value, str) else value.item()
    if isinstance(plain, float) and not math.isfinite(plain):
        plain = "NaN" if math.isnan(plain) else "Infinity" if plain > 0 else "-Infinity"
    return replace(
        document, text=json.dumps(document.json | {"fill_value": plain}, indent=2).encode(), has_chunks=False
    )


@lru_cache(maxsize=256)
def _per_frame_document(shape: tuple[int, ...], grid: tuple[str, ...], dtype: str, meaning: str) -> ArrayDocument:
    components = shape[len(grid) :]
    return array_document(
        shape,
        dtype,
        (*_per_frame_chunk(shape[: len(grid)]), *components),
        # Arrays with different numbers of components get different dimensions: xarray allows a dimension only one size.
        dimension_names=(*grid, *(f"component_{size}" for size in components)),
        attributes={"description": meaning} if meaning else {},
    )


def _per_frame_chunk(sizes: tuple[int, ...]) -> tuple[int, ...]:
    """Return a chunk of at most _PER_FRAME_CHUNK frames that is contiguous in the grid's C order."""
    chunk: list[int] = []
    left = _PER_FRAME_CHUNK
    for size in reversed(sizes):
        chunk.append(max(1, min(size, left)))
        left //= size
    return tuple(reversed(chunk))


def check_per_frame_values(name: str, values: npt.ArrayLike, sizes: tuple[int, ...]) -> npt.NDArray[Any]:
    """Check a per-frame array over a grid of `sizes` and return it as numbers, booleans, or an object array of str.

    Raises
    ------
    OutputError
        If the shape is wrong, or not every Zarr reader can be expected to know the type.
    """
    array = np.asarray(values)
    if array.shape[: len(sizes)] != sizes or array.ndim > len(sizes) + 1:
        expected = f"{' x '.join(map(str, sizes))} frames in {len(sizes)} or {len(sizes) + 1} axes"
        raise OutputError(f"per-frame array {name!r} has shape {array.shape}; expected {expected}")
    if array.dtype.kind in "OTU":
        array = array.astype(object, copy=False)
        strange = [value for value in array.flat if not isinstance(value, str)]
        if strange:
            raise OutputError(f"per-frame array {name!r} mixes text with {type(strange[0]).__name__}")
    elif array.dtype.kind not in "iufb":
        raise OutputError(f"per-frame array {name!r} has dtype {array.dtype}; expected numbers, booleans or text")
    return array


def array_document(shape: tuple[int, ...], dtype: str, chunks: tuple[int, ...], **arguments: Any) -> ArrayDocument:
    """Describe an array; further `arguments` are those of :func:`zarr.create_array`."""
    files: dict[str, Any] = {}
    array = zarr.create_array(
        MemoryStore(files), shape=shape, dtype=dtype, chunks=chunks, fill_value=_fill(dtype), **arguments
    )
    return ArrayDocument(files[ZARR_JSON].to_bytes(), array.metadata)


def _fill(dtype: str) -> Any:
    if dtype == "string":
        return ""
    return False if dtype == "bool" else 0
