"""Import of Dask that survives damaged Dask settings.

Dask reads all its settings files on import and fails if one of them is damaged. This module leaves damaged files out, in
this process and in the worker processes that it starts, and lists them in :data:`LEFT_OUT`. All other settings count.
"""

from __future__ import annotations

import os
import re
import site
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from multiprocessing import current_process
from pathlib import Path
from typing import Any

from pipeline.errors import ConfigError

LEFT_OUT: dict[str, str] = {}
"""Settings file or variable that was left out → reason."""
_SUFFIXES = (".json", ".yaml", ".yml")
_NOWHERE = os.path.join(os.devnull, "nowhere")  # noqa: PTH118  a name for the environment
_LINE = re.compile(r"line [0-9]+(?:, column [0-9]+)?")
_VARIABLE = "DASK_"
_KEY = "dcm2zarr"


def import_dask() -> None:
    """Import Dask now if it has settings that could prevent its import; otherwise the modules that need Dask import it.

    Raises
    ------
    ConfigError
        If settings that can't be left out prevent the import.
    """
    if "dask" in sys.modules or not (settings_files() or _variables()):
        return
    known = set(sys.modules)
    try:
        _import_all()
    # Dask, and the modules that its settings name, may raise anything
    except Exception as error:  # noqa: BLE001
        for name in set(sys.modules) - known:
            if name.partition(".")[0] in {"dask", "distributed"}:
                del sys.modules[name]
        _import_carefully(error)


def settings_files() -> list[Path]:
    """Return Dask's settings files in the order in which Dask reads them: later files override earlier ones."""
    return [file for place in _places() for file in _files_in(place)]


def _import_all() -> None:
    config = import_module("dask.config").config
    if {"distributed", "logging"} & config.keys():  # distributed reads some settings on import
        import_module("distributed")


def _places() -> Iterator[Path]:
    """Yield each file and folder in which Dask looks for settings, once."""
    places = [
        os.environ.get("DASK_ROOT_CONFIG", "/etc/dask"),
        *(os.path.join(prefix, "etc", "dask") for prefix in (sys.prefix, *site.PREFIXES)),  # noqa: PTH118
        os.path.join(os.path.expanduser("~"), ".config", "dask"),  # noqa: PTH111, PTH118  "~" if the home is unknown
        *(os.environ[name] for name in ("DASK_CONFIG",) if name in os.environ),
    ]
    yield from map(Path, reversed(dict.fromkeys(reversed(places))))


def _files_in(place: Path) -> list[Path]:
    try:
        if place.is_dir():
            return sorted(path for path in place.iterdir() if path.suffix.lower() in _SUFFIXES)
        return [place] if place.exists() else []
    except OSError:  # Dask skips files that it may not read
        return []


def _variables() -> list[str]:
    return [name for name in os.environ if name.startswith(_VARIABLE)]


def _import_carefully(error: Exception) -> None:
    """Import Dask without any settings, then let it read the undamaged ones."""
    try:
        with _without_settings():
            config = import_module("dask.config")
    except Exception:  # noqa: BLE001  damaged settings in Python's own prefix
        raise ConfigError(f"Dask can't be imported: {error}. Repair that file, or remove it") from error
    config.paths[:] = [str(file) for file in settings_files() if _is_sound(config, file)]
    config.refresh(paths=[], env={})
    import_module("distributed")
    try:
        config.refresh()
    except Exception as unusable:  # noqa: BLE001  variables that contradict each other
        for name in _variables():
            LEFT_OUT[name] = type(unusable).__name__
            del os.environ[name]
        config.refresh()
    if not LEFT_OUT:
        LEFT_OUT[", ".join(config.paths) or "its variables"] = f"{type(error).__name__} when distributed was imported"
    _inherited()[_KEY] = _First(import_dask)


def _is_sound(config: Any, file: Path) -> bool:
    try:
        list(config.collect_yaml([str(file)]))
    except Exception as error:  # noqa: BLE001  Dask's message quotes the file: keep only the line number
        line = _LINE.search(str(error))
        LEFT_OUT[str(file)] = f"not YAML that Dask can read: {line[0] if line else 'see the file'}"
        return False
    return True


@contextmanager
def _without_settings() -> Iterator[None]:
    before = dict(os.environ)
    for name in _variables():
        del os.environ[name]
    os.environ.update(DASK_ROOT_CONFIG=_NOWHERE, HOME=_NOWHERE, USERPROFILE=_NOWHERE)
    try:
        yield
    finally:
        _restore(before)


def _restore(before: Mapping[str, str]) -> None:
    for name in {"DASK_ROOT_CONFIG", "HOME", "USERPROFILE"} - before.keys():
        del os.environ[name]
    os.environ.update(before)


class _First:
    """A pickled value that makes each child process call a function before it imports Dask.

    Children unpickle the inherited process settings right after the main script.
    """

    def __init__(self, function: Callable[[], None]) -> None:
        self._function = function

    def __reduce__(self) -> tuple[Callable[[], None], tuple[()]]:
        return self._function, ()


def _inherited() -> dict[str, Any]:
    config: dict[str, Any] = vars(current_process())["_config"]
    return config


@contextmanager
def children_without_settings() -> Iterator[None]:
    """Start child processes without Dask's settings files and variables, while the context lasts."""
    before = _inherited().copy()
    _inherited()[_KEY] = _First(import_without_settings)
    try:
        yield
    finally:
        del _inherited()[_KEY]
        _inherited().update(before)


def import_without_settings() -> None:
    """Import Dask without settings, and keep it from reading any later."""
    for name in _variables():
        del os.environ[name]
    with _without_settings():
        config = import_module("dask.config")
    config.paths.clear()
    config.refresh()
