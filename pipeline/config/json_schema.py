"""The configuration's JSON Schema, for editors and for messages about wrong values."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from pipeline.config.sections import RunConfig

Node = Mapping[str, Any]

_PLURALS = {"boolean": "booleans", "integer": "whole numbers", "number": "numbers", "string": "texts"}
_SINGULARS = {"boolean": "true or false", "integer": "a whole number", "number": "a number", "string": "text"}


def schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of the configurations that :func:`pipeline.config.load` accepts."""
    body = RunConfig.model_json_schema()
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "dcm2zarr configuration",
        **_tidy({key: value for key, value in body.items() if key != "title"}),
    }


def _tidy(node: Any) -> Any:
    """Join the lines of descriptions, and drop titles, which only repeat the keys."""
    if isinstance(node, list):
        return [_tidy(item) for item in node]
    if not isinstance(node, dict):
        return node
    kept = {key: _tidy(value) for key, value in node.items() if key != "title" or not isinstance(value, str)}
    if isinstance(kept.get("description"), str):
        kept["description"] = " ".join(kept["description"].split())
    return kept


@cache
def _root() -> Node:
    return schema()


def lookup(path: tuple[str | int, ...]) -> Node | None:
    """Return the schema of the value at a key path, or None if the path can't exist."""
    node: Node | None = _root()
    for part in path:
        node = _child(node, part) if node is not None else None
    return _follow(node) if node is not None else None


def _follow(node: Node) -> Node:
    if "$ref" not in node:
        return node
    target: Node = _root()["$defs"][node["$ref"].rsplit("/", 1)[1]]
    return target


def _child(node: Node, part: str | int) -> Node | None:
    for option in _options(node):
        properties = option.get("properties", {})
        child = (
            option.get("items") if isinstance(part, int) else properties.get(part, option.get("additionalProperties"))
        )
        if isinstance(child, dict):
            return child
        if child is True:
            return {}
    return None


def _options(node: Node) -> list[Node]:
    """Return the alternatives of a node: the branches of a union, or the node alone."""
    node = _follow(node)
    return [_follow(option) for option in node["anyOf"]] if "anyOf" in node else [node]


def keys(path: tuple[str | int, ...]) -> list[str]:
    """Return the keys of the section at `path`; empty for anything else."""
    node = lookup(path)
    return [key for option in _options(node) for key in option.get("properties", {})] if node else []


def all_keys() -> list[str]:
    """Return every named key path of the configuration, dotted."""
    paths: list[str] = []
    pending: list[tuple[str, ...]] = [()]
    while pending:
        path = pending.pop()
        children = [(*path, key) for key in keys(path)]
        paths += [".".join(child) for child in children]
        pending += children
    return sorted(paths)


def choices(path: tuple[str | int, ...]) -> list[str]:
    """Return the words that are allowed at `path`; empty if the schema doesn't list them."""
    node = lookup(path) or {}
    return [word for option in node.get("anyOf", [node]) for word in option.get("enum", [option.get("const")]) if word]


def expected(path: tuple[str | int, ...]) -> str:
    """Describe in words which value belongs at `path`."""
    return _words(lookup(path) or {})


def _words(node: Node, *, plural: bool = False) -> str:
    node = _follow(node)
    if "anyOf" in node:
        return _either([_words(option, plural=plural) for option in node["anyOf"] if option.get("type") != "null"])
    if "enum" in node:
        return f"one of {', '.join(node['enum'])}"
    if "const" in node or "pattern" in node:
        return str(node.get("const", "a size with a unit, such as 64 MiB"))
    kinds = node.get("type", "object")
    if isinstance(kinds, str) and kinds in _COLLECTIONS:
        return _COLLECTIONS[kinds](node)
    names = _PLURALS if plural else _SINGULARS
    return _either([names[kind] for kind in ([kinds] if isinstance(kinds, str) else kinds)]) + _bound(node)


def _list(node: Node) -> str:
    return f"a list of {_words(node['items'], plural=True)}{' (at least one)' if node.get('minItems') else ''}"


def _section(node: Node) -> str:
    names = ", ".join(node.get("properties", ()))
    return f"a section with the keys {names}" if names else "a mapping of names to values"


_COLLECTIONS: dict[str, Callable[[Node], str]] = {"array": _list, "object": _section}


def _bound(node: Node) -> str:
    if "exclusiveMinimum" in node:
        return f" above {node['exclusiveMinimum']}"
    return f" from {node['minimum']}" if "minimum" in node else ""


def _either(words: list[str]) -> str:
    return (", or " if any(" or " in word for word in words) else " or ").join(dict.fromkeys(words))
