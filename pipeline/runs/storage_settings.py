"""The configuration's section ``storage``, applied to everything that a function does, here and in its tasks."""

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


def storage_options(config: RunConfig) -> Options:
    """Return how stores are reached, the permissions of new local files, and where a DICOMweb token may be sent.

    A token is sent to services that the caller names as sources, but not to those in the ``run.yaml`` of another user's result.
    """
    origins = dicomweb_origins(config.source.paths) if _is_ours(OutputDir(config.output.path)) else ()
    options = Options.of(config.storage.model_dump())
    return replace(options, file_bits=config.output.file_bits, token_origins=origins)


def _is_ours(out: OutputDir) -> bool:
    """Return whether there is no result yet, or only the caller could have written its configuration; not for object stores."""
    if out.is_remote or not hasattr(os, "geteuid"):
        return True
    try:
        return Path(str(out.run_file)).stat().st_uid == os.geteuid()
    except OSError:
        return True


def with_storage_settings(function: Callable[Concatenate[RunConfig, P], T]) -> Callable[Concatenate[RunConfig, P], T]:
    """Decorate a function whose first argument is the configuration: its section ``storage`` holds while the function runs."""

    @wraps(function)
    def within(config: RunConfig, /, *args: P.args, **kwargs: P.kwargs) -> T:
        with using(storage_options(config)):
            return function(config, *args, **kwargs)

    return within
