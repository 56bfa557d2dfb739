"""The limit: processes that know the place of every frame's bytes, and only read, decode, compress and write.

No headers, no plan, no checksums, no metadata, no ledger; each frame is compressed while the processor's cache still
holds it, and written at once. The codec, its settings, the chunks (planar in colour), the number of frames per output file and the moment when
the system begins to write it to the disk are those of this project.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from numcodecs import blosc

from benches.contest.dicomfiles import Place
from benches.contest.encoding import CODINGS
from benches.contest.inputs import Made
from pipeline.model import PixelFormat, frame_axes
from pipeline.plan.costs import weight
from pipeline.plan.layout import Layout
from pipeline.plan.layouts.frames import chunk_shape, shard_shape
from pipeline.store.compression import BLOSC_BLOCK
from pipeline.store.sinks import begin_to_flush


@dataclass(frozen=True, slots=True)
class Piece:
    """The frames of one file of output."""

    places: tuple[Place, ...]
    out: str
    coding: str
    shape: tuple[int, ...]
    dtype: str


def run(pool: Executor, made: Made, out: str) -> list[list[int]]:
    """Convert with the processes of `pool`; return the lengths of all chunks, for each output file."""
    Path(out).mkdir(parents=True)
    return list(pool.map(write_piece, pieces(made, out)))


def pieces(made: Made, out: str) -> Iterator[Piece]:
    """Cut the frames into files of output."""
    pixels = PixelFormat(*made.shape[:2], made.shape[2] if len(made.shape) > 2 else 1, made.dtype, "")  # noqa: PLR2004  colour
    chunks = chunk_shape(Layout(), pixels, len(made.places))
    (step, *_) = shard_shape(Layout(), pixels, len(made.places), chunks, weight(made.input.codec.uid))
    for start in range(0, len(made.places), step):
        yield Piece(made.places[start : start + step], f"{out}/{start:06d}", made.input.coding, made.shape, made.dtype)


def write_piece(piece: Piece) -> list[int]:
    """Read, decode, compress and write; return the chunks' lengths."""
    frame = np.empty(piece.shape, piece.dtype)
    axes = frame_axes(1 + frame.ndim)
    colour = frame.ndim > 2 and frame.itemsize == 1  # noqa: PLR2004  rows and columns
    shuffle = blosc.NOSHUFFLE if colour else blosc.BITSHUFFLE
    read = _read_native if piece.coding == "native" else partial(_read, CODINGS[piece.coding].decode)
    lengths = []
    opened = ("", -1)
    blosc.use_threads = False
    with Path(piece.out).open("wb", buffering=0) as file:
        for place in piece.places:
            if place.path != opened[0]:
                _close(opened[1])
                opened = (place.path, os.open(place.path, os.O_RDONLY))
            read(opened[1], place, frame)
            chunk = blosc.compress(np.ascontiguousarray(axes.fold(frame[None])), b"zstd", 1, shuffle, BLOSC_BLOCK)
            file.write(chunk)
            lengths.append(len(chunk))
        begin_to_flush(file.fileno())
    _close(opened[1])
    return lengths


def read_back(made: Made, out: str, lengths: list[list[int]]) -> Iterator[npt.NDArray[Any]]:
    """Yield the frames that :func:`run` wrote."""
    axes = frame_axes(1 + len(made.shape))
    for piece, sizes in zip(pieces(made, out), lengths, strict=True):
        with Path(piece.out).open("rb") as file:
            for size in sizes:
                values = np.frombuffer(blosc.decompress(file.read(size)), made.dtype)
                yield axes.unfold(values.reshape(axes.shape((1,), made.shape)), made.shape)[0]


def _read_native(file: int, place: Place, out: npt.NDArray[Any]) -> None:
    os.preadv(file, [out], place.offset)


def _read(decode: Any, file: int, place: Place, out: npt.NDArray[Any]) -> None:
    decode(os.pread(file, place.length, place.offset), out)


def _close(file: int) -> None:
    if file >= 0:
        os.close(file)
