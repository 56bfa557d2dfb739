"""Origins: scheme, host and port of a server, or scheme and bucket of a store. Credentials stay with their origin."""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import urlsplit

from pipeline.storage.urls import DICOMWEB, WEB, scheme_of

LOCAL_ORIGIN = "file"
"""Origin of local files."""
_PORTS = {"http": 80, "https": 443}


def origin_of(name: str) -> str:
    """Return the origin of a URL (RFC 6454 for web servers), :data:`LOCAL_ORIGIN` for a path, an empty text for other text.

    >>> origin_of("dicomweb+https://PACS.example.org/dicom-web?StudyDate=2024")
    'https://pacs.example.org:443'
    >>> origin_of("s3://bucket/a/b.dcm")
    's3://bucket'
    """
    scheme = scheme_of(name).removeprefix("dicomweb+")
    if scheme in {"", LOCAL_ORIGIN}:
        return LOCAL_ORIGIN
    try:
        parts = urlsplit(name.removeprefix("dicomweb+"))
        port = parts.port or _PORTS.get(scheme)
        host = parts.hostname or ""
    except ValueError:  # an invalid port or address
        return ""
    if scheme in WEB:
        return f"{scheme}://{host}:{port}" if host else ""
    return f"{scheme}://{parts.netloc}"


def dicomweb_origins(sources: Iterable[str]) -> tuple[str, ...]:
    """Return the origins of the DICOMweb services among the sources."""
    origins = (origin_of(source) for source in sources if scheme_of(source) in DICOMWEB)
    return tuple(dict.fromkeys(filter(None, origins)))
