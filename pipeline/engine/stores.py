"""The configuration's section ``storage``, in force for all that a function does, here and in its tasks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import wraps
from typing import Concatenate, ParamSpec, TypeVar

from pipeline.config import RunConfig
from pipeline.storage import Options, using

P = ParamSpec("P")
T = TypeVar("T")


def options_of(config: RunConfig) -> Options:
    """Return how stores are reached, and with which permissions local files are made."""
    return replace(Options.of(config.storage.model_dump()), file_bits=config.output.file_bits)


def reaching_stores(function: Callable[Concatenate[RunConfig, P], T]) -> Callable[Concatenate[RunConfig, P], T]:
    """Let the configuration's ``storage`` hold in a function that takes the configuration first."""

    @wraps(function)
    def within(config: RunConfig, /, *args: P.args, **kwargs: P.kwargs) -> T:
        with using(options_of(config)):
            return function(config, *args, **kwargs)

    return within
