"""Parsing and checks of names: local paths, ``file://`` URLs, and URLs of object stores and web servers."""

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
"""Schemes of DICOMweb services, which can be searched, and read instance by instance."""
_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_SECRET = re.compile(
    r"([?&;#](?:x-amz-[a-z-]+|x-goog-[a-z-]+|sig|signature|(?:[a-z]+[_-])?(?:token|key|password|secret)|awsaccesskeyid)=)"
    r"[^&;\s]+",
    re.IGNORECASE,
)


_USER = re.compile(r"(://)[^/\s'\"]*@")
_PORT = re.compile(r":[0-9]*$|\]$")
_FRAGMENT = re.compile(r"(https?://[^\s#]*)#[^\s]*", re.IGNORECASE)
"""Only for web servers; in object stores, the text after ``#`` is part of the object's name."""
_QUERY = re.compile(r"((?<!\+)\bhttps?://[^\s?#]*)\?[^\s#]*", re.IGNORECASE)
"""Not for DICOMweb, whose sources are queries."""


class Location(NamedTuple):
    """An object's location."""

    root: str
    """``s3://bucket``, ``http://host:port``."""
    key: str
    """The object's name in the bucket or server, decoded, without a leading slash."""

    @property
    def scheme(self) -> str:
        """``s3``, ``http``, …."""
        return self.root.partition(":")[0]


def is_remote(name: str) -> bool:
    """Return whether `name` is a URL of anything but a local file."""
    return scheme_of(name) not in ("", "file")


def scheme_of(name: str) -> str:
    """Return the scheme of a URL in lower case; empty for a path."""
    match = _URL.match(name)
    return match[1].lower() if match else ""


def check_url(name: str) -> str:
    """Return `name`; refuse unusable URLs and URLs with secrets.

    Raises
    ------
    ConfigError
        For an unknown scheme, a missing bucket, or user, password or signature in the URL. The message hides secrets.
    """
    scheme = scheme_of(name)
    if not scheme or scheme == "file":
        return name
    if scheme not in (*STORES, *WEB, *DICOMWEB):
        known = ", ".join((*STORES, *WEB, *DICOMWEB))
        raise ConfigError(f"{hidden(name)}: unknown scheme {scheme}; available: {known} and file")
    authority = re.split("[/?#]", name.partition("://")[2], maxsplit=1)[0]
    if holds_user(name) or (":" in authority and not _PORT.search(authority)):
        raise ConfigError(
            f"{scheme}://…: a user and a password in a URL would be written to run.yaml, the catalog and the logs. "
            "Remove them, and give them in environment variables (AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, …), in a "
            "profile (storage.profile), or, for DICOMweb, in DICOMWEB_TOKEN or ~/.netrc"
        )
    if not authority:
        raise ConfigError(f"{name}: the name of the bucket is missing; expected {scheme}://bucket/prefix")
    unusable = urlsplit(name).query or "#" in name if scheme in WEB else "#" in name and scheme in DICOMWEB
    if unusable or _SECRET.search(name):
        what = "a signature in a URL is a secret, and it" if _SECRET.search(name) else "a query or fragment in a URL"
        raise ConfigError(
            f"{hidden(name)}: {what} can't be used; give the object's own URL, and credentials in the environment"
        )
    return name


def holds_user(text: str) -> bool:
    """Return whether a text contains a URL with a user, with or without password, before its host."""
    return _USER.search(text) is not None


def hidden(text: str) -> str:
    """Replace passwords, signatures, fragments of URLs and queries of web servers in a text by ``…``."""
    text = _QUERY.sub(r"\1?…", text)
    text = _FRAGMENT.sub(r"\1#…", _USER.sub(r"\1…@", text))
    return _SECRET.sub(r"\1…", text)


def split(name: str) -> Location:
    """Split a checked URL into root and key. Web servers' paths are percent-decoded, keys of object stores taken literally."""
    scheme, _, rest = name.partition("://")
    authority, _, key = rest.partition("/")
    scheme = scheme.lower()
    return Location(f"{scheme}://{authority}", unquote(key) if scheme in WEB else key)


def absolute(name: str) -> str:
    """Return a name that means the same in every process: a URL without trailing slashes, or an absolute path."""
    if is_remote(name):
        return name.rstrip("/")
    return os.path.abspath(name)  # noqa: PTH100  any text that names a file
