"""What dcm2zarr is made of, in rooms; ARCHITECTURE.md lists them. Users import :mod:`dcm2zarr`, which calls them."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from pipeline.lazy_imports import lazily

if TYPE_CHECKING:
    from pipeline.access import open, open_dicom  # noqa: A004  pipeline.open, as zarr.open and xarray.open_…
    from pipeline.errors import PipelineError
    from pipeline.frames import build_index, iter_frames
    from pipeline.model import FrameIndex
    from pipeline.runs import convert, run
    from pipeline.storage import storage_options

_HOME = {
    "FrameIndex": "pipeline.model",
    "PipelineError": "pipeline.errors",
    "build_index": "pipeline.frames",
    "convert": "pipeline.runs",
    "iter_frames": "pipeline.frames",
    "open": "pipeline.access",
    "open_dicom": "pipeline.access",
    "run": "pipeline.runs",
    "storage_options": "pipeline.storage",
}
__all__ = [
    "FrameIndex",
    "PipelineError",
    "build_index",
    "convert",
    "iter_frames",
    "open",
    "open_dicom",
    "run",
    "storage_options",
]

_of_a_room = lazily(__name__, _HOME)


def __getattr__(name: str) -> Any:
    """Import what is asked for when it is asked for: reading frames needs neither Dask nor Zarr."""
    return import_module("pipeline.codecs") if name == "codecs" else _of_a_room(name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOME])
