"""The code that a user writes today, with pydicom, zarr and Dask and without this project.

Both give zarr one chunk per frame, which is kinder than the chunks that zarr chooses itself: those span several frames,
and writing one frame then reads and rewrites the others. They decode with the first plugin that pydicom tries.
"""

from __future__ import annotations

import time
from itertools import chain, islice
from typing import Any

from benches.contest.inputs import Made

OWN_CHUNKS_FRAMES = 16
"""Frames written if zarr chooses the chunks: some take a second each."""


def plugin_of(made: Made) -> str:
    """Return the plugin that pydicom tries first on this machine."""
    from pydicom.pixels import get_decoder  # noqa: PLC0415  after plugins.use

    decoder = get_decoder(made.input.codec.uid)
    return "" if decoder.is_native else str(decoder.available_plugins[0])


def serial(made: Made, out: str) -> None:
    """Convert in a loop over ``iter_pixels``."""
    import zarr  # noqa: PLC0415  where it is used

    shape = (len(made.places), *made.shape)
    _loop(made, zarr.create_array(out, shape=shape, chunks=(1, *made.shape), dtype=made.dtype), len(made.places))


def own_chunks_rate(made: Made, out: str) -> float:
    """Begin the same loop with an array whose chunks zarr chooses; return frames per second."""
    import zarr  # noqa: PLC0415  where it is used

    array = zarr.create_array(out, shape=(len(made.places), *made.shape), dtype=made.dtype)
    frames = min(OWN_CHUNKS_FRAMES, len(made.places))
    begin = time.perf_counter()
    _loop(made, array, frames)
    return frames / (time.perf_counter() - begin)


def _loop(made: Made, array: Any, frames: int) -> None:
    from pydicom.pixels import iter_pixels  # noqa: PLC0415  after plugins.use

    each = chain.from_iterable(iter_pixels(source) for source in made.sources)
    for position, frame in enumerate(islice(each, frames)):
        array[position] = frame


def delayed(made: Made, out: str) -> None:
    """Convert with a delayed task for each frame, on the cluster of the current client."""
    import dask  # noqa: PLC0415  where it is used
    import dask.array as da  # noqa: PLC0415  where it is used

    read = dask.delayed(_read_frame, pure=False)
    each = len(made.places) // len(made.sources)
    frames = [(source, index) for source in made.sources for index in range(each)]
    blocks = [da.from_delayed(read(source, index), made.shape, made.dtype) for source, index in frames]
    da.stack(blocks).to_zarr(out)


def _read_frame(source: str, index: int) -> Any:
    from pydicom.pixels import iter_pixels  # noqa: PLC0415  after plugins.use

    return next(iter_pixels(source, indices=[index]))
