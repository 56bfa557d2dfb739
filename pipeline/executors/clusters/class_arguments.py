"""The arguments that a cluster's class takes: found by its signatures, so that a wrong name is answered early."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any

from pipeline.errors import ConfigError


def parameters(*classes: type) -> set[str] | None:
    """Return the names that the constructors of these classes and their bases take; None where they take any.

    A constructor that hands on ``**kwargs`` is followed by its bases' constructors, in their order.
    """
    names: set[str] = set()
    for one in classes:
        opened = False
        for base in inspect.getmro(one):
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


def check_names(options: Mapping[str, Any], known: Iterable[str], told: Mapping[str, str], of: str) -> None:
    """Refuse options that aren't in `known`, and those in `told`, which have another place.

    Raises
    ------
    ConfigError
        Naming the option, and the nearest right name or the place.
    """
    names = sorted(set(known) - set(told))
    for name in options:
        if name in told:
            raise ConfigError(f"cluster.options.{name}: {told[name]}")
        if name not in names:
            close = get_close_matches(name.lower().replace("-", "_"), names, n=3, cutoff=0.6)
            hint = f"did you mean {' or '.join(close)}?" if close else f"there are {', '.join(names)}"
            raise ConfigError(f"cluster.options.{name}: {of} has no such argument; {hint}")
