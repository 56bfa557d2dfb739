"""Options for reaching object stores, without secrets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Self

_MIB = 2**20


@dataclass(frozen=True, slots=True)
class Options:
    """How to reach the stores; see the configuration's section ``storage``.

    Secrets aren't part of it: the process that sends a request takes them from its environment, from profiles or from the
    machine's own role.
    """

    endpoint: str = ""
    region: str = ""
    profile: str = ""
    anonymous: bool = False
    path_style: bool = True
    allow_http: bool = False
    retries: int = 8
    timeout: float = 120.0
    connect_timeout: float = 10.0
    requests: int = 8
    prefetch: int = 16 * _MIB
    more: tuple[tuple[str, Any], ...] = ()
    """Further settings of obstore under its own names."""
    at: tuple[tuple[str, Options], ...] = ()
    """URL → separate options for everything below the URL; the longest matching URL counts."""
    file_bits: int = 0
    """Permissions of new local files, from which those of folders follow; 0 leaves both to the umask."""
    token_origins: tuple[str, ...] | None = None
    """Origins (:mod:`pipeline.storage.origins`) that may get a DICOMweb token, unless the environment names them. None allows
    every origin, for callers that name each instance themselves."""

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Self:
        """Return the options for the plain values of a configuration's section ``storage``."""
        given = dict(values)
        at = tuple((url.rstrip("/"), cls.of(own)) for url, own in given.pop("at", {}).items())
        more = tuple(sorted(given.pop("options", {}).items()))
        return cls(**given, more=more, at=at)

    def for_url(self, url: str) -> Options:
        """Return the options that apply to `url`."""
        fitting = [(prefix, own) for prefix, own in self.at if url == prefix or url.startswith(f"{prefix}/")]
        return max(fitting, key=lambda pair: len(pair[0]))[1] if fitting else self


@contextmanager
def storage_options(**values: Any) -> Iterator[None]:
    """Set how the code in the block reaches object stores.

    Parameters
    ----------
    **values
        The keys of the configuration's section ``storage``: ``endpoint``, ``region``, ``profile``, ``anonymous``,
        ``allow_http``, ``retries``, ``timeout``, …

    Examples
    --------
    >>> with dcm2zarr.storage_options(endpoint="https://s3.example.org"):
    ...     images = dcm2zarr.open("s3://results/ct")
    """
    with using(Options.of(values)):
        yield


_active: ContextVar[Options] = ContextVar("storage_options", default=Options())  # noqa: B039  Options is frozen


def active() -> Options:
    """Return the current options."""
    return _active.get()


@contextmanager
def using(options: Options) -> Iterator[None]:
    """Make `options` the current options while the block runs."""
    token = _active.set(options)
    try:
        yield
    finally:
        _active.reset(token)
