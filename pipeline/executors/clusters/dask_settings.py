"""Dask's settings that others have made: which of them a run's own cluster takes, and where one stands that is in the way.

They are in files (``~/.config/dask/*.yaml`` and others) and variables (``DASK_…``), for all that a user, or everybody on a
machine, does with Dask. A cluster that lives as long as a run, in this process or on this machine, takes those in
:data:`TAKEN`, if they make sense; for all others it has Dask's own defaults and ours. Where the cluster is the user's, or a
batch system's, all of them count, and an error that one may have caused names it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from ssl import SSLError
from typing import Any

import dask
from dask.utils import parse_timedelta
from distributed import Client
from distributed.utils import format_dashboard_link

from pipeline.dask_import import LEFT_OUT
from pipeline.errors import ConfigError
from pipeline.executors.clusters.defaults import DEFAULTS
from pipeline.executors.progress import Progress

MOST_NAMED = 6
"""Settings that an error names, where nothing tells which of them it is."""
_CONCERNED = ("distributed", "temporary-directory", "jobqueue", "scheduler-address")
_SHORT = 3
_ENCRYPTION = "distributed.comm.require-encryption"
_TLS = "distributed.comm.tls."
_OF_WORKERS = ("distributed.worker.preload", "distributed.nanny.", "distributed.comm.")
LINK = "distributed.dashboard.link"


def _is_folder(value: Any) -> bool:
    return isinstance(value, str) and bool(value)


def _is_patience(value: Any) -> bool:
    """Whether it is a time, and no shorter than Dask's own: more patience than that, a slow machine may need."""
    try:
        return isinstance(value, int | float | str) and parse_timedelta(value) >= 30  # noqa: PLR2004  Dask's "30s"
    except (ValueError, KeyError, TypeError):
        return False


def _is_link(value: Any) -> bool:
    """Whether a dashboard's address can be made of it: what it asks of the environment may be missing."""
    try:
        return isinstance(value, str) and bool(format_dashboard_link("127.0.0.1", 8787))
    except (ValueError, KeyError, IndexError, AttributeError):
        return False


TAKEN: Mapping[str, Callable[[Any], bool]] = {
    "temporary-directory": _is_folder,
    "distributed.comm.timeouts.connect": _is_patience,
    "distributed.comm.timeouts.tcp": _is_patience,
    LINK: _is_link,
}
"""Settings that a run's own cluster takes → whether a value of it can be used."""


@contextmanager
def own_settings() -> Iterator[None]:
    """Let Dask have its defaults, ours, and those of the user's settings that are in :data:`TAKEN`, for this block."""
    theirs = {key: dask.config.get(key, None) for key in TAKEN}
    taken = {key: value for key, value in theirs.items() if TAKEN[key](value)}
    with ExitStack() as stack:
        stack.enter_context(dask.config.set({**_defaults(), "scheduler-address": None}))
        stack.enter_context(dask.config.set({**DEFAULTS, **taken}))
        yield


def _defaults() -> dict[str, Any]:
    return dict(dask.config.merge(*dask.config.defaults))


def tell_left_out(progress: Progress) -> None:
    """Say which of Dask's settings could not be read, and so count for nothing."""
    for what, why in LEFT_OUT.items():
        progress.message(f"Warning: Dask's settings in {what} are left out: {why}")


def place_of(key: str) -> str:
    """Return where a setting was made: the variable or the last file that has it, empty where neither does."""
    plain = key.replace("_", "-")
    for name in os.environ:
        if name.startswith("DASK_") and name[5:].lower().replace("__", ".").replace("_", "-") == plain:
            return name
    places = [str(path) for path in dask.config.paths_containing_key(key, paths=dask.config.paths)]
    return places[-1] if places else ""


def where(key: str) -> str:
    """Return where a setting was made, to be put behind its name."""
    place = place_of(key)
    return f" (in {place})" if place else ""


def settings_behind(error: BaseException, *, certain: bool = False) -> str:
    """Return what to say of the settings that may have caused an error; empty where nobody has made any.

    Those that the error speaks of, or else, unless it has to be `certain`, all that concern clusters.
    """
    made = {key: place for key in _changed() if (place := place_of(key))}
    errors = list(_chain(error))
    meant = {key: place for key, place in made.items() if any(_speaks_of(one, key) for one in errors)}
    if not meant and not certain:
        meant = dict(list(made.items())[:MOST_NAMED])
    told = ", ".join(f"{key} (in {place})" for key, place in meant.items())
    return f". Of Dask's own settings, which count here, it may be {told}" if told else ""


def settings_of_workers() -> str:
    """Return what to say of the settings that may keep workers from starting; empty where nobody has made any."""
    made = [(key, place_of(key)) for key in _changed() if key.startswith(_OF_WORKERS)]
    told = ", ".join(f"{key} (in {place})" for key, place in made if place)
    return f"; of Dask's own settings, which count here, {told} may keep it from starting" if told else ""


@contextmanager
def client_of(cluster: Any) -> Iterator[Client]:
    """Give a client of a Dask cluster, and close it at the end.

    Raises
    ------
    ConfigError
        Where none can be made, with the settings that may be in the way.
    """
    try:
        client = cluster.get_client()
    except (ImportError, OSError, ValueError, TypeError, RuntimeError, LookupError, AttributeError) as error:
        told = f"{type(error).__name__}: {error}{settings_behind(error)}"
        raise ConfigError(f"cluster: Dask's client could not be started: {told}") from error
    with client:
        yield client


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _changed() -> list[str]:
    """Return the settings of clusters that have another value than Dask's default."""
    known = dict(_leaves(_defaults()))
    made = _leaves({key: dask.config.get(key) for key in _CONCERNED if dask.config.get(key, None) is not None})
    return [key for key, value in made if known.get(key) != value and DEFAULTS.get(key) != value]


def _leaves(values: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from _leaves(value, f"{above}{key}.")
        else:
            yield f"{above}{key}", value


def _speaks_of(error: BaseException, key: str) -> bool:
    text = str(error)
    if key == _ENCRYPTION and "encryption required" in text:
        return True
    if key.startswith(_TLS) and isinstance(error, FileNotFoundError | PermissionError | SSLError):
        return True  # Python doesn't name the file
    value = dask.config.get(key)
    parts = value if isinstance(value, list | tuple) else [value]
    return any(isinstance(part, str) and len(part) >= _SHORT and part in text for part in parts)
