"""Compact pickles of the value types that travel between processes."""

from __future__ import annotations

from dataclasses import fields
from functools import cache
from operator import attrgetter
from typing import Any


class Compact:
    """A frozen dataclass that is pickled as the call that constructs it.

    Python pickles a frozen dataclass with slots field by field, in Python code, which takes 10 µs and more per object; an
    archive has millions of them. Only for types whose fields are all arguments of the constructor.
    """

    __slots__ = ()

    def __reduce__(self) -> tuple[type[Any], tuple[Any, ...]]:
        kind = type(self)
        return kind, _values(kind)(self)  # type: ignore[arg-type]  # a class is hashable


@cache
def _values(kind: type[Any]) -> attrgetter[tuple[Any, ...]]:
    """Return a getter of the values of all fields, two at least, in the order of the constructor's arguments."""
    return attrgetter(*(field.name for field in fields(kind)))
