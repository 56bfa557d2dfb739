"""The configuration's section ``storage``, in force for all that a function does, here and in its tasks."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec, TypeVar

from pipeline.config import RunConfig
from pipeline.storage import Options, using

P = ParamSpec("P")
T = TypeVar("T")


def options_of(config: RunConfig) -> Options:
    """Return how the stores are reached."""
    return Options.of(config.storage.model_dump())


def reaching_stores(function: Callable[Concatenate[RunConfig, P], T]) -> Callable[Concatenate[RunConfig, P], T]:
    """Let the configuration's ``storage`` hold in a function that takes the configuration first."""

    @wraps(function)
    def within(config: RunConfig, /, *args: P.args, **kwargs: P.kwargs) -> T:
        with using(options_of(config)):
            return function(config, *args, **kwargs)

    return within
