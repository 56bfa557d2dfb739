"""For functions that make or walk through millions of values."""

from __future__ import annotations

import gc
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


def without_collections(function: Callable[P, T]) -> Callable[P, T]:
    """Let no garbage be looked for while the function runs.

    Python looks through all objects again whenever their number has grown by a quarter, which doubles the time in
    which a plan of a million instances is made or read; these values are in no cycles, so nothing is ever found.
    """

    @wraps(function)
    def paused(*args: P.args, **kwargs: P.kwargs) -> T:
        if not gc.isenabled():
            return function(*args, **kwargs)
        gc.disable()
        try:
            return function(*args, **kwargs)
        finally:
            gc.enable()

    return paused
