"""YAML text → plain values, with the line of every key.

Scalars follow the core schema of YAML 1.2: only ``true`` and ``false`` are booleans (``no`` and ``on`` are text),
dates are text, ``010`` is ten. Tags can't create Python objects.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

from pipeline.errors import ConfigError

KeyPath = tuple[str | int, ...]

_MAX_VALUES = 100_000  # nested aliases can expand to any number of values
_LONGEST_NUMBER = 80
"""Characters: DICOM's longest identifiers have 64."""
_SHOWN = 60
_TAG = "tag:yaml.org,2002:"
_NUMBER = list("-+.0123456789")


class CoreLoader(yaml.SafeLoader):
    """The safe loader with the scalar types of YAML 1.2."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}


for _name, _pattern, _first in (
    ("null", r"null|Null|NULL|~|", ["n", "N", "~", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", _NUMBER),
    ("float", r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)", _NUMBER),
):
    CoreLoader.add_implicit_resolver(_TAG + _name, re.compile(rf"(?:{_pattern})\Z"), _first)


@dataclass(frozen=True)
class Document:
    """A YAML document as plain values, with their lines."""

    value: Any
    lines: dict[KeyPath, int] = field(default_factory=dict)
    """Key path → line, from 1."""
    numbers: dict[KeyPath, str] = field(default_factory=dict)
    """Key path → each number as written: ``1.10`` and ``007`` say more than their values."""


def dotted(path: KeyPath) -> str:
    """Return a key path as people write it: ``source.paths[0]``."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return text.removeprefix(".") or "the configuration"


def parse(text: str, *, name: str) -> Document:
    """Read one YAML document; messages call it `name`.

    Raises
    ------
    ConfigError
        If the text isn't YAML, a key is given twice, or a value has an unknown tag; the message names the line.
    """
    try:
        root = yaml.compose(text, Loader=CoreLoader)
    except (yaml.YAMLError, ValueError) as error:
        raise ConfigError(f"{name} is not valid YAML: {_describe(error)}") from error
    except RecursionError as error:
        raise ConfigError(f"{name} is not valid YAML: it is nested too deeply") from error
    builder = _Builder(name)
    value = builder.build(root, ()) if root else None
    if builder.problems:
        raise ConfigError(builder.problems[0], more=builder.problems[1:])
    return Document(value, builder.lines, builder.numbers)


def _describe(error: Exception) -> str:
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None) or str(error)
    return f"line {mark.line + 1}, column {mark.column + 1}: {problem}" if mark else problem


class _Builder:
    """Builds plain values from YAML's node tree and records the line of each."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.lines: dict[KeyPath, int] = {}
        self.numbers: dict[KeyPath, str] = {}
        self.problems: list[str] = []
        self._values = 0
        self._open: set[int] = set()

    def build(self, node: yaml.Node, path: KeyPath) -> Any:
        self.lines.setdefault(path, node.start_mark.line + 1)
        self._values += 1
        if self._values > _MAX_VALUES or id(node) in self._open:
            raise ConfigError(f"{self.name}: more than {_MAX_VALUES} values, or an alias inside its own anchor")
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node, path)
        self._open.add(id(node))
        try:
            if isinstance(node, yaml.MappingNode):
                return self._mapping(node, path)
            return [self.build(item, (*path, position)) for position, item in enumerate(node.value)]
        finally:
            self._open.discard(id(node))

    def _mapping(self, node: yaml.MappingNode, path: KeyPath) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for key, value in self._entries(node, path):
            if key in result:
                first = self.lines[(*path, key)]
                self._problem(value, f"{dotted((*path, key))} is given twice (first on line {first})")
            else:
                result[key] = self.build(value, (*path, key))
        return result

    def _entries(self, node: yaml.MappingNode, path: KeyPath) -> Iterator[tuple[str, yaml.Node]]:
        for key, value in node.value:
            if isinstance(key, yaml.ScalarNode):
                self.lines.setdefault((*path, key.value), key.start_mark.line + 1)
                yield key.value, value
            else:
                self._problem(key, f"{dotted(path)}: a key must be a word, not a list or mapping")

    def _scalar(self, node: yaml.ScalarNode, path: KeyPath) -> Any:
        kind, text = node.tag.removeprefix(_TAG), str(node.value)
        if kind in {"int", "float"} and len(text) > _LONGEST_NUMBER:
            problem = f"a number of {len(text)} characters can't be used; put an identifier in quotes, to make it text"
            self._problem(node, f"{dotted(path)}: {problem}")
            return None
        if kind in {"int", "float"}:
            self.numbers[path] = text
        try:
            return _SCALARS[kind](text)
        except (KeyError, ValueError):  # an explicit tag, such as !!python/name, or !!int with another text
            seen = repr(text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…")
            self._problem(node, f"{dotted(path)}: {node.tag} {seen} can't be used; write the value without a tag")
            return None

    def _problem(self, node: yaml.Node, text: str) -> None:
        self.problems.append(f"{self.name}, line {node.start_mark.line + 1}: {text}")


def _integer(text: str) -> int:
    base = {"0x": 16, "0o": 8}.get(text[:2], 10)
    return int(text[2:] if base != 10 else text, base)  # noqa: PLR2004  decimal has no prefix


def _real(text: str) -> float:
    return float(text.lower().replace(".inf", "inf").replace(".nan", "nan"))


_SCALARS: dict[str, Callable[[str], Any]] = {
    "str": str,
    "null": lambda _text: None,
    "bool": lambda text: text.lower() == "true",
    "int": _integer,
    "float": _real,
}
