"""The configuration's section ``storage``, in force for all that a function does, here and in its tasks."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from functools import wraps
from pathlib import Path
from typing import Concatenate, ParamSpec, TypeVar

from pipeline.config import RunConfig
from pipeline.storage import Options, OutputDir, dicomweb_origins, using

P = ParamSpec("P")
T = TypeVar("T")


def options_of(config: RunConfig) -> Options:
    """Return how stores are reached, with which permissions local files are made, and where a DICOMweb token may go.

    It goes to the services that are named as sources; not to those in the ``run.yaml`` of somebody else's result, which
    were not named by who gives the token.
    """
    origins = dicomweb_origins(config.source.paths) if _is_ours(OutputDir(config.output.path)) else ()
    options = Options.of(config.storage.model_dump())
    return replace(options, file_bits=config.output.file_bits, token_origins=origins)


def _is_ours(out: OutputDir) -> bool:
    """Whether there is no result yet, or its configuration is the caller's own; of object stores nobody can tell."""
    if out.is_remote or not hasattr(os, "geteuid"):
        return True
    try:
        return Path(str(out.run_file)).stat().st_uid == os.geteuid()
    except OSError:
        return True


def reaching_stores(function: Callable[Concatenate[RunConfig, P], T]) -> Callable[Concatenate[RunConfig, P], T]:
    """Let the configuration's ``storage`` hold in a function that takes the configuration first."""

    @wraps(function)
    def within(config: RunConfig, /, *args: P.args, **kwargs: P.kwargs) -> T:
        with using(options_of(config)):
            return function(config, *args, **kwargs)

    return within
