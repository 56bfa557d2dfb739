"""Arguments of a cluster class, read from its signatures, so that wrong names are found early."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any

from pipeline.errors import ConfigError


def parameters(*classes: type) -> set[str] | None:
    """Return the argument names of the constructors of classes and their bases; None if they accept any name.

    A constructor with ``**kwargs`` is assumed to pass these on to the next base's constructor.
    """
    names: set[str] = set()
    for cls in classes:
        opened = False
        for base in inspect.getmro(cls):
            if "__init__" not in vars(base) or base is object:
                continue
            given = inspect.signature(vars(base)["__init__"]).parameters.values()
            names |= {parameter.name for parameter in given if parameter.kind in _NAMED}
            opened = any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in given)
            if not opened:
                break
        if opened:
            return None
    return names - {"self"}


_NAMED = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


def check_names(options: Mapping[str, Any], known: Iterable[str], refused: Mapping[str, str], of: str) -> None:
    """Refuse options that aren't in `known`, and those in `refused` (name → what to do instead).

    Raises
    ------
    ConfigError
        For such an option; the message proposes similar names, or says what to do instead.
    """
    names = sorted(set(known) - set(refused))
    for name in options:
        if name in refused:
            raise ConfigError(f"cluster.options.{name}: {refused[name]}")
        if name not in names:
            close = get_close_matches(name.lower().replace("-", "_"), names, n=3, cutoff=0.6)
            hint = f"did you mean {' or '.join(close)}?" if close else f"available: {', '.join(names)}"
            raise ConfigError(f"cluster.options.{name}: {of} has no such argument; {hint}")
