"""What Zarr's metadata says of each array, made by zarr itself, in memory, before any of it is on disk."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import zarr
from zarr.storage import MemoryStore, StorePath

from pipeline.errors import OutputError
from pipeline.model import ImageSpec
from pipeline.storage import ZARR_JSON
from pipeline.store.codecs import codec_arguments

PIXELS = "pixels"
DIMENSIONS = ("frame", "row", "column", "sample")
_PER_FRAME_CHUNK = 2**14
"""Frames a chunk of the per-frame arrays: one chunk for all but long images. Storing a text takes a quarter of a KiB of
memory for each frame of a chunk."""

_MEANING: dict[str, str] = {
    "sop_instance_uid": "SOP Instance UID of the instance that the frame comes from",
    "frame_number": "DICOM frame number, from 1, of the frame in its instance",
    "checksum": "xxh3_64 of the frame's decoded pixels as little-endian bytes in C order (row, column, sample)",
    "valid": "false where the frame could not be decoded: its pixels then mean nothing",
}


@dataclass(frozen=True, slots=True)
class ArrayDocument:
    """An array's metadata: as its ``zarr.json`` holds it, and as zarr understands it."""

    text: bytes
    metadata: Any

    def bind(self, store: Any, path: str) -> zarr.AsyncArray[Any]:
        """Return the array at `path` of `store`, whether or not its metadata is there.

        Chunks that hold nothing but the fill value are written like all others: a missing chunk means missing
        pixels, never zeros.
        """
        place = StorePath(store, path)
        return zarr.AsyncArray(self.metadata, place, config={"write_empty_chunks": True, "order": "C"})

    @property
    def json(self) -> dict[str, Any]:
        """The parsed text."""
        parsed: dict[str, Any] = json.loads(self.text)
        return parsed


def pixels_document(spec: ImageSpec, codec: Mapping[str, Any], coordinates: Iterable[str] = ()) -> ArrayDocument:
    """Describe the image's ``pixels``; `coordinates` names the per-frame arrays (CF conventions 5, for xarray)."""
    sharded = spec.shards != spec.chunks
    names = " ".join(coordinates)
    return _document(
        shape=spec.shape,
        dtype=spec.format.dtype,
        chunks=spec.chunks,
        shards=spec.shards if sharded else None,
        dimension_names=DIMENSIONS[: len(spec.shape)],
        attributes={"coordinates": names} if names else {},
        **codec_arguments(codec, spec.format.dtype),
    )


def per_frame_document(name: str, values: npt.NDArray[Any]) -> ArrayDocument:
    """Describe one per-frame array of shape ``(frame,)`` or ``(frame, component)``."""
    text = values.dtype.kind == "O"
    return _per_frame_document(values.shape, "string" if text else values.dtype.name, _MEANING.get(name, ""))


@lru_cache(maxsize=256)
def _per_frame_document(shape: tuple[int, ...], dtype: str, meaning: str) -> ArrayDocument:
    return _document(
        shape=shape,
        dtype=dtype,
        chunks=(min(shape[0], _PER_FRAME_CHUNK), *shape[1:]),
        shards=None,
        # Components of different numbers are different dimensions: xarray allows a dimension only one size.
        dimension_names=("frame", *(f"component_{size}" for size in shape[1:])),
        attributes={"description": meaning} if meaning else {},
    )


def per_frame_values(name: str, values: npt.ArrayLike, frames: int) -> npt.NDArray[Any]:
    """Check a per-frame array and return it as numbers, booleans, or an object array of str.

    Raises
    ------
    OutputError
        For a wrong length, or for a type that every Zarr reader can't be expected to know.
    """
    array = np.asarray(values)
    if array.ndim not in (1, 2) or len(array) != frames:
        raise OutputError(f"Per-frame array {name!r} has shape {array.shape}; expected {frames} frames in 1 or 2 axes")
    if array.dtype.kind in "OTU":
        array = array.astype(object, copy=False)
        strange = [value for value in array.flat if not isinstance(value, str)]
        if strange:
            raise OutputError(f"Per-frame array {name!r} mixes text with {type(strange[0]).__name__}")
    elif array.dtype.kind not in "iufb":
        raise OutputError(f"Per-frame array {name!r} has dtype {array.dtype}; expected numbers, booleans or text")
    return array


def _document(**arguments: Any) -> ArrayDocument:
    files: dict[str, Any] = {}
    array = zarr.create_array(MemoryStore(files), fill_value=_fill(arguments["dtype"]), **arguments)
    return ArrayDocument(files[ZARR_JSON].to_bytes(), array.metadata)


def _fill(dtype: str) -> Any:
    if dtype == "string":
        return ""
    return False if dtype == "bool" else 0
