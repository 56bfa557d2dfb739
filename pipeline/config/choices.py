"""Checks of single values that a type alone can't express."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic_core import PydanticCustomError

from pipeline.errors import ConfigError
from pipeline.storage import LOCAL_ORIGIN, check_url, hidden, origin_of

_DIGITS = 18
_LAST_FRAME = 2**31 - 2
"""Number of Frames is an Integer String (PS3.5 6.2)."""
_BITS = re.compile("0?6[046][04]")
_SLICE = re.compile(r"\s*([+-]?[0-9]+)?\s*:\s*([+-]?[0-9]+)?\s*(?::\s*([+-]?[0-9]+)?\s*)?")


_SECRET = re.compile("key|secret|token|password|passwd|sas|credential|signature|bearer|authorization", re.IGNORECASE)
_ARGUMENT = re.compile("(^|[_-])(token|password|passwd|secret|bearer|api_?key|credentials?)$", re.IGNORECASE)
_STORE = re.compile("^(aws|google|azure_storage|azure|s3|gcs)_")
_OPTIONS = frozenset(
    [
        *("account_name", "allow_http", "allow_invalid_certificates", "authority_host", "base_url", "bucket"),
        *("checksum_algorithm", "client_id", "conditional_put", "container_name", "copy_if_not_exists"),
        *("default_region", "disable_bulk_delete", "disable_tagging", "endpoint", "imdsv1_fallback"),
        *("metadata_endpoint", "msi_endpoint", "msi_resource_id", "object_id", "proxy_url", "region", "request_payer"),
        *("role_arn", "role_session_name", "server_side_encryption", "skip_signature", "sts_endpoint", "tenant_id"),
        *("unsigned_payload", "use_azure_cli", "use_emulator", "use_fabric_endpoint", "user_agent"),
        "virtual_hosted_style_request",
    ]
)
"""Settings of obstore that aren't secrets, without the stores' prefixes."""


def parse_slice(text: str) -> slice:
    """Return the slice written as a text such as ``::2`` or ``10:20``.

    Raises
    ------
    ValueError
        For a text that isn't a slice, or a step of 0.
    """
    match = _SLICE.fullmatch(text)
    if match is None:
        raise ValueError(f'expected a slice such as "::2" or "10:20", or a list of frame indices, got {text[:60]!r}')
    if any(part and len(part) > _DIGITS for part in match.groups()):
        raise ValueError(f"a slice's numbers have {_DIGITS} digits at most")
    start, stop, step = (int(part) if part else None for part in match.groups())
    if step == 0:
        raise ValueError(f"a slice's step can't be 0, got {text!r}")
    return slice(start, stop, step)


def check_frames(frames: str | tuple[int, ...] | None) -> str | tuple[int, ...] | None:
    """Refuse a text that isn't a slice, and frame indices that no file can have."""
    if isinstance(frames, str):
        parse_slice(frames)
    elif frames and max(map(abs, frames)) > _LAST_FRAME:
        raise ValueError(f"frame indices go up to {_LAST_FRAME}")
    return frames


def check_path(path: Any) -> str:
    """Refuse a value that can't be the path of a file."""
    if not isinstance(path, str) or not path or "\0" in path:
        raise PydanticCustomError("path", "expected a path")
    try:
        return check_url(path)
    except ConfigError as error:
        raise ValueError(str(error)) from None


def check_origin(name: str) -> str:
    """Refuse a name that is neither a server, nor a bucket, nor ``file`` for files of this machine."""
    if name != LOCAL_ORIGIN and (origin_of(name) in {LOCAL_ORIGIN, ""} or "@" in name):
        raise ValueError(
            f"expected a server or bucket such as https://host or s3://bucket, or file, got {hidden(name)!r}"
        )
    return name


def check_endpoint(endpoint: str) -> str:
    """Refuse an endpoint that isn't a server's address, or that holds a password."""
    if endpoint and not endpoint.startswith(("http://", "https://")):
        raise ValueError(f"expected an address such as https://s3.example.org, got {hidden(endpoint)!r}")
    if {"@", "?", "#"}.intersection(endpoint):
        raise ValueError(
            "expected an address without user, password, query and fragment: give secrets in the environment (such as "
            "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY) or in a profile"
        )
    return endpoint


def check_store_options(options: dict[str, Any]) -> dict[str, Any]:
    """Refuse options that are or may be secrets, because the configuration is copied to run.yaml."""
    for name in options:
        if _SECRET.search(name):
            raise ValueError(
                f"{name} may be a secret, and the configuration is copied to run.yaml; give it in the environment "
                f"({name.upper()}) or in a profile"
            )
        if _STORE.sub("", name.lower()) not in _OPTIONS:
            raise ValueError(f"{name} isn't known as a setting without a secret; known: {', '.join(sorted(_OPTIONS))}")
    return options


def check_urls(settings: dict[str, Any]) -> dict[str, Any]:
    """Refuse settings whose key isn't a URL or path, or holds a secret."""
    for url in settings:
        check_path(url)
    return settings


def check_address(address: str) -> str:
    """Refuse a scheduler's address that holds a password."""
    if {"@", "?", "#"}.intersection(address):
        raise ValueError(
            "expected an address without user, password, query and fragment, such as tcp://10.0.0.1:8786, because the "
            "address is written to run.yaml, the report and the logs"
        )
    return address


def check_no_secrets(options: dict[str, Any]) -> dict[str, Any]:
    """Refuse arguments whose names suggest secrets, at any depth, because the configuration is copied to run.yaml."""
    for name in _names(options):
        if _ARGUMENT.search(name):
            raise ValueError(
                f"{name} may be a secret, and the configuration is copied to run.yaml; give it in the environment or in "
                "Dask's own configuration"
            )
    return options


def _names(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        yield from map(str, value)
    if isinstance(value, Mapping | list | tuple):
        for item in value.values() if isinstance(value, Mapping) else value:
            yield from _names(item)


def check_mode_bits(bits: str) -> str:
    """Refuse permissions that prevent writing the result, or that let others write it."""
    if bits and _BITS.fullmatch(bits) is None:
        raise ValueError(
            f'expected permissions such as "0640", in quotes: 6 for the owner, 0, 4 or 6 for the group, 0 or 4 for all '
            f"others, got {bits[:20]!r}"
        )
    return bits


def check_codec_name(codec: dict[str, Any]) -> dict[str, Any]:
    """Refuse a codec without a name; the store checks its name and settings."""
    name = codec.get("name")
    if not isinstance(name, str) or not name:
        raise ValueError(f"expected a mapping with the codec's name, such as {{name: zstd, level: 3}}, got {codec!r}")
    return codec
