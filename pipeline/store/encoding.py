"""Encode one chunk's pixels to the bytes that are stored.

A thread encodes one chunk after the other. zarr's own way takes a dozen coroutines and a change of threads for each
chunk, which costs as much as decoding a small frame. So the most frequent codecs are called directly, as zarr would
call them, with the same bytes (except gzip's header); all others are left to zarr.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

import numcodecs  # type: ignore[import-untyped]
import numpy as np
import numpy.typing as npt
from numcodecs import blosc
from zarr.abc.codec import Codec
from zarr.codecs import BloscCodec, GzipCodec, ZstdCodec
from zarr.storage import MemoryStore

from pipeline.model import ImageSpec
from pipeline.store.arrays import array_document
from pipeline.store.compression import codec_arguments
from pipeline.store.coroutines import run

Encode = Callable[[npt.NDArray[Any]], bytes]
"""Encodes one whole chunk: contiguous, little-endian, in the chunk's shape."""

_SHUFFLES = {"noshuffle": 0, "shuffle": 1, "bitshuffle": 2}


def chunk_encoder(spec: ImageSpec, codec: Mapping[str, Any]) -> Encode:
    """Return a function that encodes the chunks of an image's ``pixels``.

    Raises
    ------
    ConfigError
        If the codec doesn't exist.
    """
    return _chunk_encoder(spec.chunks, spec.format.dtype, spec.format.samples_per_pixel, json.dumps(dict(codec)))


@lru_cache(maxsize=64)
def _chunk_encoder(chunks: tuple[int, ...], dtype: str, samples: int, codec: str) -> Encode:
    arguments = codec_arguments(json.loads(codec), dtype, samples)
    if list(arguments) == ["compressors"]:
        made = arguments["compressors"]
        encode = _compressor(made[0]) if made else np.ndarray.tobytes
        if encode is not None:
            return encode
    return zarr_encoder(chunks, dtype, arguments)


def _compressor(codec: Codec) -> Encode | None:
    """Return the function behind one of zarr's codecs, with the settings zarr uses; None for codecs not known here."""
    # The codec as in an array's metadata: in the specification's words, whatever attributes the object has.
    said: Any = codec.to_dict().get("configuration", {})
    if isinstance(codec, BloscCodec):
        cname, shuffle = said["cname"].encode(), _SHUFFLES[said["shuffle"]]
        settings = (cname, said["clevel"], shuffle, said["blocksize"], said["typesize"])
        return lambda chunk: blosc.compress(chunk, *settings)
    if isinstance(codec, ZstdCodec):
        return numcodecs.Zstd(level=said["level"], checksum=said["checksum"]).encode  # type: ignore[no-any-return]
    if isinstance(codec, GzipCodec):
        # zarr's gzip writes the time into each chunk's header, so two runs would give different bytes.
        return lambda chunk: gzip.compress(chunk.data, compresslevel=said["level"], mtime=0)
    return None


def zarr_encoder(chunks: tuple[int, ...], dtype: str, arguments: Mapping[str, Any]) -> Encode:
    """Return an encoder that lets zarr write an array of one chunk to memory, and returns the bytes.

    `arguments` are those of :func:`codec_arguments`.
    """
    document = array_document(chunks, dtype, chunks, **arguments)
    files: dict[str, Any] = {}
    array = document.bind(MemoryStore(files), "")
    key = document.metadata.encode_chunk_key((0,) * len(chunks))

    def encode(chunk: npt.NDArray[Any]) -> bytes:
        run(array.setitem(..., chunk.reshape(array.shape)))
        return bytes(files.pop(key).to_bytes())

    return encode
