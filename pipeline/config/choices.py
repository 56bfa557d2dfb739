"""Checks of single values that a type alone can't express."""

from __future__ import annotations

import re
from typing import Any

from pydantic_core import PydanticCustomError

from pipeline.errors import ConfigError
from pipeline.storage.origins import LOCAL, origin_of
from pipeline.storage.urls import check_url, hidden

_SLICE = re.compile(r"\s*([+-]?[0-9]+)?\s*:\s*([+-]?[0-9]+)?\s*(?::\s*([+-]?[0-9]+)?\s*)?")


_SECRET = re.compile("key|secret|token|password|sas|credential|signature", re.IGNORECASE)


def parse_slice(text: str) -> slice:
    """Return the slice that a text such as ``::2`` or ``10:20`` stands for.

    Raises
    ------
    ValueError
        For a text that isn't a slice, or a step of 0.
    """
    match = _SLICE.fullmatch(text)
    if match is None:
        raise ValueError(f'expected a slice such as "::2" or "10:20", or a list of frame indices, got {text!r}')
    start, stop, step = (int(part) if part else None for part in match.groups())
    if step == 0:
        raise ValueError(f"a slice's step can't be 0, got {text!r}")
    return slice(start, stop, step)


def check_frames(frames: str | tuple[int, ...] | None) -> str | tuple[int, ...] | None:
    """Refuse a text that isn't a slice."""
    if isinstance(frames, str):
        parse_slice(frames)
    return frames


def check_path(path: Any) -> str:
    """Refuse what can't be the path of a file."""
    if not isinstance(path, str) or not path or "\0" in path:
        raise PydanticCustomError("path", "expected a path")
    try:
        return check_url(path)
    except ConfigError as error:
        raise ValueError(str(error)) from None


def check_origin(name: str) -> str:
    """Refuse what names neither a server, nor a bucket, nor files of this machine."""
    if name != LOCAL and (origin_of(name) in {LOCAL, ""} or "@" in name):
        raise ValueError(f"expected https://host, s3://bucket or such, or file, got {hidden(name)!r}")
    return name


def check_endpoint(endpoint: str) -> str:
    """Refuse an endpoint that is no address of a server, or holds a password."""
    if endpoint and not endpoint.startswith(("http://", "https://")):
        raise ValueError(f"expected an address such as https://s3.example.org, got {hidden(endpoint)!r}")
    if "@" in endpoint or "?" in endpoint:
        raise ValueError(
            "an address without user, password and query is expected: secrets come from the environment (such as "
            "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY) or a profile"
        )
    return endpoint


def check_store_options(options: dict[str, Any]) -> dict[str, Any]:
    """Refuse secrets: the configuration is copied to run.yaml."""
    for name in options:
        if _SECRET.search(name):
            raise ValueError(
                f"{name} may be a secret, and the configuration is copied to run.yaml; give it by the environment "
                f"({name.upper()}) or a profile"
            )
    return options


def check_codec_name(codec: dict[str, Any]) -> dict[str, Any]:
    """Refuse a codec without a name; which names and settings there are, the store knows."""
    name = codec.get("name")
    if not isinstance(name, str) or not name:
        raise ValueError(f"expected a mapping with the codec's name, such as {{name: zstd, level: 3}}, got {codec!r}")
    return codec
