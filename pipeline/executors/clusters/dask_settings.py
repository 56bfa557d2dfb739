"""Dask's settings by users and administrators: which of them count, and which may have caused an error.

Files (``~/.config/dask/*.yaml`` and others) and variables (``DASK_…``) hold settings for every use of Dask. A cluster in this
process or on this machine, which lives as long as a run, uses the valid ones among :data:`TAKEN`, and otherwise Dask's defaults
and ours. For a user's own cluster, or a batch system's, all settings count, and errors name the settings that may have caused
them.
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
"""Most settings that an error names if it doesn't reveal which one caused it."""
_CONCERNED = ("distributed", "temporary-directory", "jobqueue", "scheduler-address")
_SHORT = 3
_ENCRYPTION = "distributed.comm.require-encryption"
_TLS = "distributed.comm.tls."
_OF_WORKERS = ("distributed.worker.preload", "distributed.nanny.", "distributed.comm.")
LINK = "distributed.dashboard.link"


def _is_folder(value: Any) -> bool:
    return isinstance(value, str) and bool(value)


def _is_patience(value: Any) -> bool:
    """Return whether a value is a time that isn't shorter than Dask's default; slow machines may need longer ones."""
    try:
        return isinstance(value, int | float | str) and parse_timedelta(value) >= 30  # noqa: PLR2004  Dask's "30s"
    except (ValueError, KeyError, TypeError):
        return False


def _is_link(value: Any) -> bool:
    """Return whether a value yields a dashboard's address; a variable that it uses may be missing."""
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
"""Setting that a run's own cluster uses → check of its value."""


@contextmanager
def own_settings() -> Iterator[None]:
    """Set Dask's configuration for the block: its defaults, ours, and the user's settings in :data:`TAKEN`."""
    theirs = {key: dask.config.get(key, None) for key in TAKEN}
    taken = {key: value for key, value in theirs.items() if TAKEN[key](value)}
    with ExitStack() as stack:
        stack.enter_context(dask.config.set({**_defaults(), "scheduler-address": None}))
        stack.enter_context(dask.config.set({**DEFAULTS, **taken}))
        yield


def _defaults() -> dict[str, Any]:
    return dict(dask.config.merge(*dask.config.defaults))


def tell_left_out(progress: Progress) -> None:
    """Report which of Dask's settings couldn't be read and are ignored."""
    for what, why in LEFT_OUT.items():
        progress.message(f"Warning: Dask's settings in {what} are ignored: {why}")


def place_of(key: str) -> str:
    """Return the variable, or else the last file, that makes a setting; empty if neither does."""
    plain = key.replace("_", "-")
    for name in os.environ:
        if name.startswith("DASK_") and name[5:].lower().replace("__", ".").replace("_", "-") == plain:
            return name
    places = [str(path) for path in dask.config.paths_containing_key(key, paths=dask.config.paths)]
    return places[-1] if places else ""


def describe_place(key: str) -> str:
    """Return the place of a setting in parentheses, to follow its name in a message."""
    place = place_of(key)
    return f" (in {place})" if place else ""


def settings_behind(error: BaseException, *, certain: bool = False) -> str:
    """Describe the user's settings that may have caused an error; empty without such settings.

    These are the settings that the error mentions or, unless `certain`, otherwise all settings of clusters.
    """
    made = {key: place for key in _changed() if (place := place_of(key))}
    errors = list(_chain(error))
    suspects = {key: place for key, place in made.items() if any(_mentions(link, key) for link in errors)}
    if not suspects and not certain:
        suspects = dict(list(made.items())[:MOST_NAMED])
    listed = ", ".join(f"{key} (in {place})" for key, place in suspects.items())
    return f". The cause may be one of Dask's own settings, which count here: {listed}" if listed else ""


def settings_of_workers() -> str:
    """Describe the user's settings that may keep workers from starting; empty without such settings."""
    made = [(key, place_of(key)) for key in _changed() if key.startswith(_OF_WORKERS)]
    listed = ", ".join(f"{key} (in {place})" for key, place in made if place)
    return f"; one of Dask's own settings, which count here, may keep it from starting: {listed}" if listed else ""


@contextmanager
def client_of(cluster: Any) -> Iterator[Client]:
    """Yield a client of a Dask cluster, and close it at the end.

    Raises
    ------
    ConfigError
        If no client can be started; the message names settings that may be the cause.
    """
    try:
        client = cluster.get_client()
    except (ImportError, OSError, ValueError, TypeError, RuntimeError, LookupError, AttributeError) as error:
        problem = f"{type(error).__name__}: {error}{settings_behind(error)}"
        raise ConfigError(f"cluster: Dask's client could not be started: {problem}") from error
    with client:
        yield client


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _changed() -> list[str]:
    """Return the settings of clusters whose values differ from Dask's defaults and ours."""
    known = dict(_leaves(_defaults()))
    made = _leaves({key: dask.config.get(key) for key in _CONCERNED if dask.config.get(key, None) is not None})
    return [key for key, value in made if known.get(key) != value and DEFAULTS.get(key) != value]


def _leaves(values: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from _leaves(value, f"{above}{key}.")
        else:
            yield f"{above}{key}", value


def _mentions(error: BaseException, key: str) -> bool:
    text = str(error)
    if key == _ENCRYPTION and "encryption required" in text:
        return True
    if key.startswith(_TLS) and isinstance(error, FileNotFoundError | PermissionError | SSLError):
        return True  # Python doesn't name the file
    value = dask.config.get(key)
    parts = value if isinstance(value, list | tuple) else [value]
    return any(isinstance(part, str) and len(part) >= _SHORT and part in text for part in parts)
