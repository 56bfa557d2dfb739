"""Codecs: mistakes are found before anything is written, and answered with what is right."""

from __future__ import annotations

import pytest

from pipeline.errors import ConfigError
from pipeline.store import check_codec


@pytest.mark.parametrize(
    ("codec", "answer"),
    [
        ({"name": "blosk"}, "unknown codec 'blosk'; did you mean 'blosc'"),
        ({"name": "numcodecs.lzm4"}, "did you mean .*'numcodecs.lz4'"),
        ({"name": "sharding_indexed"}, "unknown codec 'sharding_indexed'"),
        ({"name": "blosc", "clvel": 3}, "blosc has no setting 'clvel'; did you mean 'clevel'"),
        ({"name": "blosc", "cname": "zst"}, "blosc has no cname 'zst'; did you mean 'zstd'"),
        ({"name": "blosc", "shuffle": "bit"}, "available: auto, noshuffle, shuffle, bitshuffle"),
        ({"name": "blosc", "clevel": 11}, "blosc has no clevel 11; available: 0, 1, .*9"),
        ({"name": "zstd", "level": 99}, "zstd refuses .*22"),
        ({"name": "gzip", "level": "high"}, "gzip refuses"),
        ({"name": "none", "level": 1}, "none has no setting 'level'; it has none"),
        ({"name": "numcodecs.lz4", "accel": 1}, "did you mean 'acceleration'"),
        ({}, "expected a codec's name under 'name'"),
        ({"name": 7}, "expected a codec's name under 'name'"),
    ],
)
@pytest.mark.filterwarnings("ignore:Numcodecs codecs are not")
def test_mistakes_are_answered(codec, answer):
    with pytest.raises(ConfigError, match=answer):
        check_codec(codec)


@pytest.mark.parametrize(
    "codec",
    [
        {"name": "none"},
        {"name": "blosc"},
        {"name": "blosc", "cname": "zstd", "clevel": 1, "shuffle": "auto"},
        {"name": "zstd", "configuration": {"level": 2, "checksum": True}},
        {"name": "gzip"},
        {"name": "crc32c"},
        {"name": "numcodecs.bz2", "level": 2},
        {"name": "numcodecs.shuffle"},
    ],
)
@pytest.mark.filterwarnings("ignore:Numcodecs codecs are not")
def test_lossless_codecs_pass_for_every_type_of_pixel(codec):
    check_codec(codec, ("uint8", "int8", "uint16", "int16", "uint32", "int32", "float32", "float64"))


@pytest.mark.filterwarnings("ignore:Numcodecs codecs are not")
def test_a_codec_that_changes_pixels_is_refused():
    with pytest.raises(ConfigError, match="changes float32 pixels"):
        check_codec({"name": "numcodecs.bitround", "keepbits": 4}, ("float32",))


@pytest.mark.filterwarnings("ignore:Numcodecs codecs are not")
def test_a_codec_that_cannot_hold_a_type_is_refused_for_it():
    codec = {"name": "numcodecs.delta", "dtype": "<u2"}
    check_codec(codec, ("uint16",))
    with pytest.raises(ConfigError, match="can't store uint8 pixels"):
        check_codec(codec, ("uint16", "uint8"))
