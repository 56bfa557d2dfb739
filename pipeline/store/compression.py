"""Make Zarr codecs from the configuration's ``output.codec``, and try them to find mistakes before anything is written."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import zarr
from numcodecs import blosc  # type: ignore[import-untyped]
from numcodecs.registry import codec_registry  # type: ignore[import-untyped]
from zarr.abc.codec import ArrayArrayCodec, ArrayBytesCodec, BytesBytesCodec, Codec
from zarr.registry import get_codec_class
from zarr.storage import MemoryStore

from pipeline.errors import ConfigError

UNCOMPRESSED = "none"
BLOSC_BLOCK = 512 * 2**10
"""Bytes that blosc compresses at a time by default. Its own choice, 32 KiB for zstd at level 1, packs no tighter and
takes 1.3 to 1.8 times as long, because zstd starts again with each block."""
_NUMCODECS = "numcodecs."
# The planner and Zarr choose these for the array's layout, not the user.
_STRUCTURAL = frozenset({"bytes", "endian", "sharding_indexed", "transpose", "vlen-bytes", "vlen-utf8"})
# As in the codec's specification and this build of blosc; zarr's own lists vary with its releases.
_CHOICES: dict[tuple[str, str], list[Any]] = {
    ("blosc", "clevel"): list(range(10)),
    ("blosc", "cname"): blosc.list_compressors(),
    ("blosc", "shuffle"): ["auto", "noshuffle", "shuffle", "bitshuffle"],
}


def codec_arguments(codec: Mapping[str, Any], dtype: str, samples: int = 1) -> dict[str, Any]:
    """Return the arguments of :func:`zarr.create_array` that make it use `codec` for an array of `dtype`.

    Parameters
    ----------
    codec : mapping
        ``name`` and the codec's own settings, or these under ``configuration`` as in Zarr's metadata.
    dtype : str
        NumPy's name of the pixels' type.
    samples : int, optional
        Samples per pixel.

    Raises
    ------
    ConfigError
        For an unknown name or setting, with the nearest right one, or for a value that the codec refuses.
    """
    name, settings = _split(codec)
    if name == UNCOMPRESSED:
        _check_settings(name, settings, [])
        return {"compressors": None}
    made = _make(name, _tune(name, settings, np.dtype(dtype).itemsize, samples))
    if isinstance(made, BytesBytesCodec):
        return {"compressors": (made,)}
    if isinstance(made, ArrayBytesCodec):
        return {"serializer": made, "compressors": None}
    if isinstance(made, ArrayArrayCodec):
        return {"filters": (made,), "compressors": None}
    raise ConfigError(f"output.codec: {name!r} isn't a codec for pixels")


def check_codec(codec: Mapping[str, Any], dtypes: Iterable[str] = ("uint16",)) -> None:
    """Encode and decode a small array of each of `dtypes` with `codec`, and compare to the bit.

    Raises
    ------
    ConfigError
        For an unknown name or setting, a value or a dtype that the codec refuses, and for a codec that would
        change pixels.
    """
    for dtype in dtypes:
        _try_codec(codec, dtype)


def codec_names() -> list[str]:
    """Return every name that ``output.codec`` may have, sorted."""
    names: Iterable[str] = zarr.config.get("codecs")
    return sorted({UNCOMPRESSED, *names} - _STRUCTURAL)


def _try_codec(codec: Mapping[str, Any], dtype: str) -> None:
    values = _sample(dtype)
    arguments = codec_arguments(codec, dtype)
    try:
        array = zarr.create_array(
            MemoryStore(), shape=values.shape, chunks=(1, *values.shape[1:]), dtype=dtype, fill_value=0, **arguments
        )
        array[...] = values
        stored = np.asarray(array[...])
    except Exception as error:
        # Foreign codecs raise anything for settings they don't accept; every error means that the codec can't be used.
        raise ConfigError(f"output.codec: {dict(codec)} can't store {dtype} pixels: {error}") from error
    if stored.tobytes() != values.tobytes():
        raise ConfigError(
            f"output.codec: {dict(codec)} changes {dtype} pixels; stored pixels must equal the decoded ones, "
            "so choose a lossless codec such as blosc, zstd or gzip"
        )


def _sample(dtype: str) -> np.ndarray[Any, np.dtype[Any]]:
    """Return two small frames that hold noise, the type's extremes and, for floats, values between the integers."""
    random = np.random.default_rng(0)
    kind = np.dtype(dtype)
    shape = (2, 32, 24)
    if kind.kind == "f":
        return random.normal(0, 1000, shape).astype(kind)
    limits = np.iinfo(kind)
    values = random.integers(limits.min, limits.max, shape, dtype=kind, endpoint=True)
    values[0, 0, :2] = limits.min, limits.max
    return values


def _split(codec: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    settings = dict(codec)
    name = settings.pop("name", None)
    nested = settings.pop("configuration", None)
    if not isinstance(name, str):
        raise ConfigError(f"output.codec: expected a codec's name under 'name', got {dict(codec)}")
    return name, settings | dict(nested or {})


def _tune(name: str, settings: dict[str, Any], itemsize: int, samples: int) -> dict[str, Any]:
    """Fill in the settings that were measured best for frames (``scripts/bench compression``)."""
    if name != "blosc":
        return settings
    shuffle = settings.get("shuffle", "auto")
    if shuffle == "auto":
        shuffle = "noshuffle" if itemsize == 1 and samples > 1 else "bitshuffle"
    return {"typesize": itemsize, "blocksize": BLOSC_BLOCK, **settings, "shuffle": shuffle}


def _make(name: str, settings: dict[str, Any]) -> Codec:
    try:
        cls = None if name in _STRUCTURAL else get_codec_class(name)
    except (KeyError, ValueError, ImportError):  # KeyError up to zarr 3.1, an error of zarr's own since
        cls = None
    if cls is None:
        raise ConfigError(f"output.codec: unknown codec {name!r}{_suggest(name, codec_names())}")
    _check_settings(name, settings, _parameters(name, cls))
    for setting, value in settings.items():
        choices = _CHOICES.get((name, setting))
        if choices and value not in choices:
            raise ConfigError(
                f"output.codec: {name} has no {setting} {value!r}{_suggest(str(value), [str(choice) for choice in choices])}"
            )
    try:
        return cls.from_dict({"name": name, "configuration": settings})
    except (TypeError, ValueError) as error:
        raise ConfigError(f"output.codec: {name} refuses {settings}: {error}") from error


def _parameters(name: str, cls: type[Codec]) -> list[str] | None:
    """Return the settings of a codec, or None if it doesn't declare them."""
    made = codec_registry.get(name.removeprefix(_NUMCODECS)) if name.startswith(_NUMCODECS) else cls
    if made is None:
        return None
    parameters = list(inspect.signature(made).parameters.values())
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        return None
    return [parameter.name for parameter in parameters]


def _check_settings(name: str, settings: Mapping[str, Any], known: list[str] | None) -> None:
    for setting in settings:
        if known is not None and setting not in known:
            raise ConfigError(f"output.codec: {name} has no setting {setting!r}{_suggest(setting, known)}")


def _suggest(value: str, names: list[str]) -> str:
    near = [] if value.isdigit() else difflib.get_close_matches(value, names, n=3, cutoff=0.5)
    if near:
        return f"; did you mean {' or '.join(map(repr, near))}?"
    return f"; available: {', '.join(names)}" if names else "; it has none"
