"""Names of places: local paths, ``file://`` URLs, and URLs of object stores and web servers."""

from __future__ import annotations

import os
import re
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from pipeline.errors import ConfigError

STORES = ("s3", "gs", "az")
"""Schemes that can be read, listed and written."""
WEB = ("http", "https")
"""Schemes that can only be read, object by object."""
DICOMWEB = ("dicomweb+http", "dicomweb+https")
"""Schemes of DICOMweb services, which are searched and read instance by instance."""
_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_SECRET = re.compile(
    r"([?&;#](?:x-amz-[a-z-]+|x-goog-[a-z-]+|sig|signature|(?:[a-z]+[_-])?(?:token|key|password|secret)|awsaccesskeyid)=)"
    r"[^&;\s]+",
    re.IGNORECASE,
)


_USER = re.compile(r"(://)[^/\s'\"]*@")
_PORT = re.compile(r":[0-9]*$|\]$")
_FRAGMENT = re.compile(r"(https?://[^\s#]*)#[^\s]*", re.IGNORECASE)
"""Of web servers alone: what follows is part of an object's name elsewhere."""
_QUERY = re.compile(r"((?<!\+)\bhttps?://[^\s?#]*)\?[^\s#]*", re.IGNORECASE)
"""Not of DICOMweb, where it says what is looked for."""


class Location(NamedTuple):
    """Where an object lies."""

    root: str
    """``s3://bucket``, ``http://host:port``."""
    key: str
    """The object's name in it, as it is, without a leading slash."""

    @property
    def scheme(self) -> str:
        """``s3``, ``http``, …."""
        return self.root.partition(":")[0]


def is_remote(name: str) -> bool:
    """Whether `name` is a URL of anything but a local file."""
    return scheme_of(name) not in ("", "file")


def scheme_of(name: str) -> str:
    """Return the scheme of a URL, in lower case; empty for a path."""
    found = _URL.match(name)
    return found[1].lower() if found else ""


def check_url(name: str) -> str:
    """Return `name`; refuse URLs that can't be used, and all that hold secrets.

    Raises
    ------
    ConfigError
        An unknown scheme, no bucket, user and password or a signature in the URL. The message doesn't repeat them.
    """
    scheme = scheme_of(name)
    if not scheme or scheme == "file":
        return name
    if scheme not in (*STORES, *WEB, *DICOMWEB):
        known = ", ".join((*STORES, *WEB, *DICOMWEB))
        raise ConfigError(f"{hidden(name)}: URLs of {known} and file can be used, not of {scheme}")
    authority = re.split("[/?#]", name.partition("://")[2], maxsplit=1)[0]
    if holds_user(name) or (":" in authority and not _PORT.search(authority)):
        raise ConfigError(
            f"{scheme}://…: a user and a password in a URL would be written to run.yaml, the catalog and the logs. "
            "Take them out, and give them by environment variables (AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, …), "
            "a profile (storage.profile), or, for DICOMweb, DICOMWEB_TOKEN or ~/.netrc"
        )
    if not authority:
        raise ConfigError(f"{name}: the name of the bucket is missing; expected {scheme}://bucket/prefix")
    unusable = urlsplit(name).query or "#" in name if scheme in WEB else "#" in name and scheme in DICOMWEB
    if unusable or _SECRET.search(name):
        what = "a signature in a URL is a secret, and it" if _SECRET.search(name) else "a query or fragment in a URL"
        raise ConfigError(
            f"{hidden(name)}: {what} can't be used; give the object's own URL, and credentials by the environment"
        )
    return name


def holds_user(text: str) -> bool:
    """Whether a text holds a URL with a user, and perhaps a password, in front of its host."""
    return _USER.search(text) is not None


def hidden(text: str) -> str:
    """Return `text` without passwords, signatures, fragments of URLs, and queries of web servers in it."""
    text = _QUERY.sub(r"\1?…", text)
    text = _FRAGMENT.sub(r"\1#…", _USER.sub(r"\1…@", text))
    return _SECRET.sub(r"\1…", text)


def split(name: str) -> Location:
    """Take a checked URL apart. Keys of object stores stand in it as they are, paths of web servers percent-encoded."""
    scheme, _, rest = name.partition("://")
    authority, _, key = rest.partition("/")
    scheme = scheme.lower()
    return Location(f"{scheme}://{authority}", unquote(key) if scheme in WEB else key)


def absolute(name: str) -> str:
    """Return `name` as every process understands it: a URL without slashes at its end, or an absolute path."""
    if is_remote(name):
        return name.rstrip("/")
    return os.path.abspath(name)  # noqa: PTH100  any text that names a file
