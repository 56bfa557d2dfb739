"""The benchmark's inputs: kinds of files, their amounts, and the files on disk."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benches.contest.dicomfiles import Place, write_multi_frame, write_slices
from benches.contest.encoding import CODINGS, Coding
from benches.contest.pictures import slices, tiles

DISTINCT = 32
"""Different frames in a file: too many for any cache of the processor."""


@dataclass(frozen=True, slots=True)
class Input:
    """One kind of input."""

    name: str
    title: str
    coding: str
    """Key of :data:`~benches.contest.encoding.CODINGS`."""
    pictures: Callable[[int], list[npt.NDArray[Any]]]
    frames: int
    """Frames of a full run, some seconds of work for two cores."""
    files: bool = False
    """Single-frame files instead of one multi-frame file."""
    table: bool = True
    """Whether encapsulated data have an offset table."""

    @property
    def codec(self) -> Coding:
        """Its transfer syntax, encoder and decoder."""
        return CODINGS[self.coding]


INPUTS = (
    Input("native", "native, 12 bit", "native", slices, 8000),
    Input("rle", "RLE, 12 bit", "rle", slices, 9600),
    Input("jpeg-lossless", "JPEG lossless, 12 bit", "jpeg-lossless", slices, 6000),
    Input("jpeg-ls", "JPEG-LS, 12 bit", "jpeg-ls", slices, 2400),
    Input("jpeg-2000-lossless", "JPEG 2000 lossless, 12 bit", "jpeg-2000-lossless", slices, 800),
    Input("jpeg-tiles", "JPEG baseline tiles", "jpeg", tiles, 32000),
    Input("jpeg-tiles-no-table", "JPEG baseline tiles, no offset table", "jpeg", tiles, 32000, table=False),
    Input("jpeg-2000-tiles", "JPEG 2000 lossy tiles", "jpeg-2000", tiles, 3200),
    Input("htj2k-tiles", "HTJ2K lossless tiles", "htj2k", tiles, 9600),
    Input("ct-files", "2,000 single-frame CT files, native", "native", slices, 2000, files=True),
)


@dataclass(frozen=True, slots=True)
class Made:
    """An input on disk."""

    input: Input
    sources: tuple[str, ...]
    """The files, in the order of their frames."""
    places: tuple[Place, ...]
    """Where each frame's bytes lie."""
    shape: tuple[int, ...]
    """Type of a decoded frame."""
    dtype: str

    @property
    def frame_bytes(self) -> int:
        """Bytes of a decoded frame."""
        return int(np.prod(self.shape)) * np.dtype(self.dtype).itemsize

    @property
    def encoded_bytes(self) -> int:
        """Bytes of all frames on disk."""
        return sum(place.length for place in self.places)


def make(kind: Input, frames: int, folder: Path, pictures: Sequence[npt.NDArray[Any]] | None = None) -> Made:
    """Write `frames` frames of `kind` below `folder`, which is made."""
    folder.mkdir(parents=True)
    pictures = pictures or kind.pictures(min(frames, DISTINCT))
    if kind.files:
        places = write_slices(folder, pictures, frames)
    else:
        places = write_multi_frame(
            folder / f"{kind.name}.dcm",
            [bytes(kind.codec.encode(picture)) for picture in pictures],
            frames,
            pictures[0],
            syntax=kind.codec.uid,
            photometric_interpretation=kind.codec.photometric_interpretation,
            table=kind.table,
        )
    sources = tuple(dict.fromkeys(place.path for place in places))
    return Made(kind, sources, tuple(places), pictures[0].shape, pictures[0].dtype.name)
