"""Mistakes in a configuration, each with key path, expected value, given value and nearest name."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from pydantic import ValidationError

from pipeline.config import json_schema
from pipeline.config.sections import RunConfig
from pipeline.config.yamltext import KeyPath, dotted
from pipeline.errors import ConfigError
from pipeline.storage import hidden

_SHOWN = 60
_BITS = 200


@dataclass(frozen=True)
class Mistake:
    """One mistake: its key path and a description."""

    path: KeyPath
    text: str


def config_error(name: str, mistakes: Iterable[Mistake], origins: Mapping[KeyPath, str] | None = None) -> ConfigError:
    """Return one error that lists all mistakes.

    Parameters
    ----------
    name : str
        Name of the configuration: the file's path.
    mistakes : iterable of Mistake
        At least one.
    origins : mapping, optional
        Key path → origin of its value: ``line 3``, ``--set``.
    """
    lines = [f"{_origin(m.path, origins or {})}{dotted(m.path)}: {m.text}" for m in mistakes]
    if len(lines) == 1:
        return ConfigError(f"{name}: {lines[0]}")
    return ConfigError(f"{name}: {len(lines)} mistakes", more=[f"  {line}" for line in lines])


def _origin(path: KeyPath, origins: Mapping[KeyPath, str]) -> str:
    for length in range(len(path), 0, -1):
        if path[:length] in origins:
            return f"{origins[path[:length]]}: "
    return ""


def translate(error: ValidationError, data: Any) -> list[Mistake]:
    """Return the mistakes behind pydantic's errors, one per key, in our own words."""
    by_path: dict[KeyPath, list[Mapping[str, Any]]] = {}
    for item in error.errors(include_url=False):
        by_path.setdefault(_real_path(item, data), []).append(item)
    parents = {path[:length] for path in by_path for length in range(len(path))}  # the innermost mistake says most
    return [Mistake(path, _text(path, items, data)) for path, items in by_path.items() if path not in parents]


def _real_path(item: Mapping[str, Any], data: Any) -> KeyPath:
    """Return the error's key path in the data; pydantic's own path also names the branches of unions."""
    path: KeyPath = ()
    value = data
    for part in item["loc"]:
        is_item = isinstance(value, list | tuple) and isinstance(part, int) and part < len(value)
        if is_item or (isinstance(value, Mapping) and part in value):
            value, path = value[part], (*path, part)
    if item["type"] == "missing":
        return (*path, item["loc"][-1])
    return (*path, item["ctx"]["key"]) if item["type"] == "below" else path


def _text(path: KeyPath, items: list[Mapping[str, Any]], data: Any) -> str:
    for item in items:
        if item["type"] == "missing":
            return f"missing; expected {json_schema.expected(path)}"
        if item["type"] == "extra_forbidden":
            return unknown_key(path)
        if item["type"] == "value_error":
            return str(item["ctx"]["error"])
        if item["type"] == "below":
            return str(item["msg"])
    value = _at(data, path)
    return f"expected {json_schema.expected(path)}, got {shown(value)}{_hint(path, value)}"


def _at(data: Any, path: KeyPath) -> Any:
    for part in path:
        data = data[part]
    return data


def shown(value: Any) -> str:
    """Return a value's start for a message, with its type if the type may be the mistake."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Mapping):
        return f"a mapping of {len(value)} key(s)"
    if isinstance(value, int) and value.bit_length() > _BITS:
        return f"a number of some {round(value.bit_length() * 0.30103)} digits"
    kind = "the text " if isinstance(value, str) else "the list " if isinstance(value, list) else ""
    text = hidden(repr(value[:_SHOWN] if isinstance(value, str | list) else value))
    return kind + (text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…")


def _hint(path: KeyPath, value: Any) -> str:
    wanted = json_schema.expected(path)
    if isinstance(value, str):
        return _text_hint(path, value, wanted)
    if value is None and path not in {("source",), ("output",)}:
        return "; leave the key out for its default"
    if isinstance(value, bool | int | float) and "text" in wanted:
        return "; to have it as text, put it in quotes"
    return ""


def _text_hint(path: KeyPath, value: str, wanted: str) -> str:
    word = value.strip().lower()
    if wanted == "true or false" and word in {"true", "false", "yes", "no", "on", "off"}:
        return "; write true or false without quotes"
    if "number" in wanted and word.lstrip("+-").isdigit():
        return "; write the number without quotes"
    if wanted.startswith("a list"):
        return f"; for a list of one, write [{hidden(value)}]" if len(value) <= _SHOWN else ""
    return did_you_mean(nearest(value, json_schema.choices(path)))


def unknown_key(path: KeyPath) -> str:
    """Return a message about an unknown key: the nearest key here, or a key of that name in another section."""
    name, section = str(path[-1]), path[:-1]
    here = json_schema.keys(section)
    prefix = f"{dotted(section)}." if section else ""
    close = [prefix + key for key in nearest(name, here)]
    close += [key for key in json_schema.all_keys() if key.rsplit(".", 1)[-1] == name and key not in close]
    close = close or nearest(dotted(path), json_schema.all_keys())
    available = f"; available: {', '.join(here)}" if here else ""
    return f"unknown key{did_you_mean(close) or available}"


def nearest(name: str, names: Collection[str]) -> list[str]:
    """Return up to three of `names` that resemble `name`, best first."""
    by_lower = {known.lower(): known for known in names}
    return [by_lower[key] for key in get_close_matches(name.lower(), by_lower, n=3, cutoff=0.6)]


def did_you_mean(names: Collection[str]) -> str:
    """Return ``; did you mean …?``, or an empty text without names."""
    return f"; did you mean {' or '.join(names)}?" if names else ""


def unknown_keywords(config: RunConfig, known: Collection[str]) -> None:
    """Refuse unknown DICOM keywords in ``select.where`` and ``metadata.keywords``.

    Parameters
    ----------
    config : RunConfig
        The configuration to check.
    known : collection of str
        All DICOM keywords; messages propose the nearest ones.

    Raises
    ------
    ConfigError
        For unknown keywords; the message names all of them.
    """
    places: list[tuple[KeyPath, str]] = [(("select", "where", keyword), keyword) for keyword in config.select.where]
    places += [(("metadata", "keywords", i), keyword) for i, keyword in enumerate(config.metadata.keywords)]
    mistakes = [
        Mistake(
            path,
            f"{keyword!r} is not a DICOM keyword, such as SeriesDescription{did_you_mean(nearest(keyword, known))}",
        )
        for path, keyword in places
        if keyword not in known
    ]
    if mistakes:
        raise config_error("configuration", mistakes)
