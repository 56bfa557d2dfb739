"""The settings that decide what is stored: they may not change between a run and the one that resumes it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import fields
from typing import Any

from pipeline.config import RunConfig
from pipeline.frames import HeaderLimits

FREE = (
    *("cluster", "report", "layout", "source.paths", "source.hash", "source.changed", "source.list_origins"),
    *("output.path", "output.mode_bits", "storage"),
    *(f"limits.{field.name}" for field in fields(HeaderLimits)),
)
"""Settings that don't affect the stored data: where and how the work is done, how files are found and compared, how the
result is reached and who may read it, how the report looks, and when a header is given up."""


def deciding_settings(config: RunConfig) -> dict[str, Any]:
    """Return all settings but the :data:`FREE` ones, under their dotted names."""
    return {name: value for name, value in _flatten(config.model_dump(mode="json")) if not _is_free(name)}


def describe_differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Return, for people, the differences between two sets of settings."""
    return [
        f"{name} was {_show(before, name)} and is {_show(now, name)} now"
        for name in dict.fromkeys([*before, *now])
        if before.get(name, _ABSENT) != now.get(name, _ABSENT)
    ]


_ABSENT = object()


def _show(settings: Mapping[str, Any], name: str) -> str:
    return json.dumps(settings[name], ensure_ascii=False) if name in settings else "not there"


def _is_free(name: str) -> bool:
    return any(name == free or name.startswith(f"{free}.") for free in FREE)


def _flatten(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from _flatten(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value
