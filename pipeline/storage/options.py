"""How object stores are reached; no secrets among it."""

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

    Holds no secrets: these come from the environment, from profiles and from the machine's own role, wherever a
    request is made.
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
    """Further settings of obstore, by its own names."""
    at: tuple[tuple[str, Options], ...] = ()
    """Options of their own for what lies below a URL; of several the longest counts."""
    file_bits: int = 0
    """Permissions of local files that are made, those of folders following from them; 0 leaves them to the umask."""
    token_origins: tuple[str, ...] | None = None
    """Where a DICOMweb token may go (:mod:`pipeline.storage.origins`), unless the environment says; None for wherever the
    caller asks, who then names each instance himself."""

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Self:
        """Return the options of a configuration's section ``storage``, as plain values."""
        given = dict(values)
        at = tuple((url.rstrip("/"), cls.of(own)) for url, own in given.pop("at", {}).items())
        more = tuple(sorted(given.pop("options", {}).items()))
        return cls(**given, more=more, at=at)

    def for_url(self, url: str) -> Options:
        """Return the options that hold at `url`."""
        fitting = [(prefix, own) for prefix, own in self.at if url == prefix or url.startswith(f"{prefix}/")]
        return max(fitting, key=lambda pair: len(pair[0]))[1] if fitting else self


@contextmanager
def storage_options(**values: Any) -> Iterator[None]:
    """Say how object stores are reached by what is opened in the block.

    Parameters
    ----------
    **values
        The keys of the configuration's section ``storage``: ``endpoint``, ``region``, ``profile``, ``anonymous``,
        ``allow_http``, ``retries``, ``timeout``, …

    Examples
    --------
    >>> with pipeline.storage_options(endpoint="https://s3.example.org"):
    ...     images = pipeline.open("s3://results/ct")
    """
    with using(Options.of(values)):
        yield


_active: ContextVar[Options] = ContextVar("storage_options", default=Options())  # noqa: B039  Options is frozen


def active() -> Options:
    """Return the options that hold here."""
    return _active.get()


@contextmanager
def using(options: Options) -> Iterator[None]:
    """Let `options` hold for every place opened in the block."""
    token = _active.set(options)
    try:
        yield
    finally:
        _active.reset(token)
