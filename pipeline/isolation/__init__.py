"""Isolation of foreign code: decoders and header parsers that hang, crash or take all memory end only a separate process."""

from pipeline.dask_import import import_dask

import_dask()  # before the modules below import it
# ruff: noqa: E402
from pipeline.isolation.child_process import Death, run_apart
from pipeline.isolation.fresh_interpreter import call_fresh
from pipeline.isolation.guard import IN_TASK, Bounds, guarded
from pipeline.isolation.safe_path import SAFE_PATH
from pipeline.isolation.watch import Watch

__all__ = [
    "IN_TASK",
    "SAFE_PATH",
    "Bounds",
    "Death",
    "Watch",
    "call_fresh",
    "guarded",
    "run_apart",
]
