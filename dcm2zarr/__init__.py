"""dcm2zarr: DICOM archives into chunked Zarr, frame by frame, in parallel with Dask.

>>> import dcm2zarr
>>> dcm2zarr.plan("data/", "out")                # what would be done: a table
>>> dcm2zarr.convert("data/", "out")             # files, folders, globs, a DICOMDIR, a list of paths
>>> images = dcm2zarr.open("out")                # open a result lazily
>>> slide = dcm2zarr.open_dicom("slide.dcm")     # open untouched DICOM lazily
>>> frames = dcm2zarr.iter_frames("slide.dcm", indices=[99_999, 3])

Importing this costs nothing: each function imports what it needs when it is called. What it is made of is the package
``pipeline``, which is installed beside it.
"""

# ruff: noqa: PLC0415  see above

from __future__ import annotations

import os
import sys
from importlib import import_module
from typing import TYPE_CHECKING, overload

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager
    from typing import Any, BinaryIO, Literal, Unpack

    import numpy.typing as npt
    import xarray as xr
    from pydicom.dataset import Dataset
    from pydicom.tag import BaseTag

    from dcm2zarr import codecs
    from pipeline.access import Images, Result
    from pipeline.config import Cluster, RunConfig, Sections
    from pipeline.errors import PipelineError
    from pipeline.executors import Progress
    from pipeline.inspection import FileInspection, FolderInspection, OutputInspection, PlannedConversion
    from pipeline.model import FrameIndex
    from pipeline.report import RunSummary
    from pipeline.runs import Status
    from pipeline.verify import Verification

    PathOrUrl = str | os.PathLike[str]

__version__ = "0.1.0"
_HOME = {
    "Cluster": "pipeline.config",
    "FileInspection": "pipeline.inspection",
    "FolderInspection": "pipeline.inspection",
    "FrameIndex": "pipeline.model",
    "Images": "pipeline.access",
    "OutputInspection": "pipeline.inspection",
    "PipelineError": "pipeline.errors",
    "PlannedConversion": "pipeline.inspection",
    "Progress": "pipeline.executors",
    "Result": "pipeline.access",
    "RunConfig": "pipeline.config",
    "RunSummary": "pipeline.report",
    "Sections": "pipeline.config",
    "Status": "pipeline.runs",
    "Verification": "pipeline.verify",
}
"""Types, and the rooms that define them: imported when they are asked for."""
__all__ = [
    "Cluster",
    "FileInspection",
    "FolderInspection",
    "FrameIndex",
    "Images",
    "OutputInspection",
    "PipelineError",
    "PlannedConversion",
    "Progress",
    "Result",
    "RunConfig",
    "RunSummary",
    "Sections",
    "Status",
    "Verification",
    "__version__",
    "build_index",
    "codecs",
    "convert",
    "inspect",
    "iter_frames",
    "open",
    "open_dicom",
    "plan",
    "status",
    "storage_options",
    "verify",
]


def convert(
    paths: PathOrUrl | Sequence[PathOrUrl],
    out: PathOrUrl,
    *,
    overwrite: bool = False,
    trusting: bool = False,
    progress: Progress | None = None,
    **sections: Unpack[Sections],
) -> RunSummary:
    """Convert DICOM files into an output directory; the same call again goes on with what an earlier one left.

    In a script, call it under ``if __name__ == "__main__":``, because worker processes import the script.

    Parameters
    ----------
    paths : path-like or sequence of path-like
        Files, folders, glob patterns, a DICOMDIR, a .txt, .csv or .parquet list of paths, or URLs (``s3://…``, ``https://…``,
        ``dicomweb+https://…``).
    out : path-like
        The output directory, or its URL in an object store.
    overwrite : bool
        Replace an earlier result there.
    trusting : bool
        Go on from a plan there that names files which `paths` don't, though others could have written it.
    progress : Progress, optional
        Receives every step.
    **sections : mapping
        The configuration's sections, as in YAML (``dcm2zarr schema``): ``source``, ``select``, ``decode``, ``output``,
        ``metadata``, ``cluster``, ``limits``, ``storage``, ``report``; such as ``cluster={"kind": "threads"}`` or
        ``output={"grouping": "instance"}``.

    Returns
    -------
    RunSummary
        What became of the files: ``exit_code`` is 0 if nothing failed, ``failures`` says what did.

    Raises
    ------
    ConfigError
        Naming every mistake in `sections`; for an unknown keyword, codec or plugin, a scheduler that can't be reached.
    OutputError
        If the output directory holds something else, or can't be written.
    PlanError
        If a task needs more memory than ``limits.task_memory``, or than a worker has; nothing has been converted then.

    Examples
    --------
    >>> summary = dcm2zarr.convert(["data/"], "out", select={"where": {"Modality": "CT"}})
    """
    _require_pipeline()
    from pipeline.runs import convert

    return convert(paths, out, overwrite=overwrite, trusting=trusting, progress=progress, **sections)


def plan(
    paths: PathOrUrl | Sequence[PathOrUrl],
    out: PathOrUrl,
    *,
    progress: Progress | None = None,
    **sections: Unpack[Sections],
) -> PlannedConversion:
    """Say what :func:`convert` would do with the same arguments, and write nothing.

    Parameters
    ----------
    paths, out, progress, **sections
        As for :func:`convert`.

    Returns
    -------
    PlannedConversion
        Images with their shapes, chunks and shards; tasks, bytes and memory; how many files would be converted, fail, or be left
        alone, and why. Shows itself as a table.

    Raises
    ------
    ConfigError, OutputError, PlanError
        As :func:`convert`.

    Examples
    --------
    >>> planned = dcm2zarr.plan("data/", "out", output={"shard": "128 MiB"})
    >>> planned.stored_bytes, [image.shape for image in planned.images]
    """
    _require_pipeline()
    from pipeline.config import for_paths
    from pipeline.inspection import plan_conversion

    return plan_conversion(for_paths(paths, out, **sections), progress=progress)


def status(out: PathOrUrl) -> Status:
    """Say how far the run in an output directory is, whether it is alive, and what is left; while it runs, too.

    Parameters
    ----------
    out : path-like or URL
        The output directory. Nothing in it is changed.

    Returns
    -------
    Status
        ``phase``, ``alive``, ``failed``; done and total of tasks, images, shards, frames and bytes in ``work``.

    Raises
    ------
    OutputError
        If it holds no run.
    """
    _require_pipeline()
    from pipeline.runs import status

    return status(out)


def verify(
    out: PathOrUrl,
    *,
    source: bool = False,
    sample: int | None = None,
    seed: int = 0,
    config: RunConfig | Mapping[str, Any] | PathOrUrl | None = None,
    trusting: bool = False,
    cluster: Cluster | Mapping[str, Any] | None = None,
    progress: Progress | None = None,
) -> Verification:
    """Check a result: every file, every chunk, every frame, every row; and if asked for, against the originals.

    Parameters
    ----------
    out : path-like or URL
        The output directory. Nothing in it is changed.
    source : bool
        Decode the originals again, with another decoder if there is one, and compare pixels and headers.
    sample : int, optional
        Number of frames of the store to decode, and of originals to compare, chosen by `seed`; all by default.
        Files, metadata and the catalog are always checked as a whole.
    seed : int
        Another seed makes another choice.
    config : RunConfig, mapping or path-like, optional
        Your own configuration, in place of the one that lies in `out`: as plain values or as a YAML file.
    trusting : bool
        Read the originals that the plan in `out` names even if others could have written it.
    cluster : Cluster or mapping, optional
        Runs the checks; as the section ``cluster`` of a configuration; local worker processes by default.
    progress : Progress, optional
        Receives every step.

    Returns
    -------
    Verification
        ``exit_code`` is 0 if nothing is wrong; ``problems`` says what is, ``deletable`` how many originals can go.

    Raises
    ------
    OutputError
        If `out` isn't the result of a conversion, an entry of it is a link, or others could have written which originals
        are read.
    ConfigError
        Naming every mistake in `config` and `cluster`.
    """
    _require_pipeline()
    from pipeline.verify import verify

    return verify(
        out,
        source=source,
        sample=sample,
        seed=seed,
        config=config,
        trusting=trusting,
        cluster=cluster,
        progress=progress,
    )


def inspect(
    path: PathOrUrl, *, progress: Progress | None = None
) -> FileInspection | FolderInspection | OutputInspection:
    """Say what lies at a path or URL: a DICOM file, a folder of them, or an output directory.

    Parameters
    ----------
    path : path-like or URL
        Nothing there is changed.
    progress : Progress, optional
        Receives every step of a folder's scan.

    Returns
    -------
    FileInspection
        Of a file: header facts, transfer syntax, where its frames lie (``index``), what decodes them; and if it can't be converted,
        ``reason`` and ``message`` say why.
    FolderInspection
        Of a folder, a prefix in a store or a DICOMDIR: its images by kind, and what would fail or be left alone.
    OutputInspection
        Of an output directory: its images, and what became of the files.

        All show themselves as tables, and have an ``exit_code``.

    Raises
    ------
    ConfigError
        If `path` doesn't exist.
    PipelineError
        If it can't be opened.
    """
    _require_pipeline()
    from pipeline.inspection import inspect

    return inspect(path, progress=progress)


def open(out: PathOrUrl, *, chunks: Literal["shard", "chunk"] = "shard", unfinished: bool = False) -> Result:  # noqa: A001
    """Open the result of a conversion lazily.

    Parameters
    ----------
    out : path-like
        The output directory.
    chunks : {"shard", "chunk"}, optional
        Dask blocks of whole shards (what is read at once costs least), or of single chunks (usually one frame).
    unfinished : bool, optional
        Open also what a run left that hasn't finished, or is still running: the images complete so far.

    Returns
    -------
    Result
        A mapping of image path (or any unique part of it) to :class:`xarray.Dataset`: ``pixels`` over ``(frame, y, x)``, or
        ``(t, c, y, x)`` in colour, as a Dask array, the per-frame arrays as coordinates, the DICOM attributes that hold for
        all frames in ``attrs``. ``.images`` is a table of the images, ``.catalog`` one of the files.

    Raises
    ------
    OutputError
        If `out` isn't a result, or isn't finished.
    ValueError
        For other `chunks`.

    Examples
    --------
    >>> images = dcm2zarr.open("out")
    >>> images.images
    >>> images["1.2.840"].pixels[10].compute()
    """
    _require_pipeline()
    from pipeline.access import open as open_result

    return open_result(out, chunks=chunks, unfinished=unfinished)


@overload
def open_dicom(
    path: PathOrUrl, *, raw: bool = ..., decoding_plugin: str = ..., frames_per_block: int = ..., **options: Any
) -> xr.Dataset | Images: ...
@overload
def open_dicom(
    path: Sequence[PathOrUrl],
    *,
    raw: bool = ...,
    decoding_plugin: str = ...,
    frames_per_block: int = ...,
    **options: Any,
) -> Images: ...
def open_dicom(
    path: PathOrUrl | Sequence[PathOrUrl],
    *,
    raw: bool = False,
    decoding_plugin: str = "",
    frames_per_block: int = 1,
    **options: Any,
) -> xr.Dataset | Images:
    """Open DICOM files as lazy arrays, without converting them.

    Headers and item headers are read now; a frame's bytes are read and decoded when it is computed, in any process,
    and only those. Memory: one block.

    Parameters
    ----------
    path : path-like or sequence of path-like
        A DICOM file; or a folder, a glob pattern, a DICOMDIR, a .txt, .csv or .parquet list of paths, or several of
        all these.
    raw : bool, optional
        Keep YBR_FULL and YBR_FULL_422 as they are instead of converting them to RGB.
    decoding_plugin : str, optional
        The only decoding plugin to use; by default the fastest that can is tried first, then the others.
    frames_per_block : int, optional
        Frames of a Dask block.
    **options
        More of pydicom's decoding options.

    Returns
    -------
    xarray.Dataset or Images
        For a file, its ``pixels`` over ``(frame, y, x)``, or ``(t, c, y, x)`` in colour, with per-frame values as coordinates
        and the attributes that hold for all frames in ``attrs``.
        Otherwise a mapping of such datasets, grouped and ordered as a conversion would; files that hold no image are listed in its
        ``left_out``.

    Raises
    ------
    SourceError
        If the file doesn't exist.
    PipelineError
        For a file that isn't DICOM, has no pixel data, or can't be decoded. What is wrong with single frames is found
        when they are computed.
    ValueError
        For less than one frame a block.

    Examples
    --------
    >>> slide = dcm2zarr.open_dicom("slide.dcm")
    >>> slide.pixels[99_999].compute()                       # decodes one frame
    >>> study = dcm2zarr.open_dicom("study/")
    """
    _require_pipeline()
    from pipeline.access import open_dicom

    how: dict[str, Any] = {"raw": raw, "decoding_plugin": decoding_plugin, "frames_per_block": frames_per_block}
    return open_dicom(path, **how, **options)


def iter_frames(
    src: PathOrUrl | BinaryIO | Dataset,
    *,
    ds_out: Dataset | None = None,
    specific_tags: list[BaseTag | int] | None = None,
    indices: Iterable[int] | None = None,
    raw: bool = False,
    decoding_plugin: str = "",
    **kwargs: Any,
) -> Iterator[npt.NDArray[Any]]:
    """Yield an instance's decoded frames one at a time.

    Parameters and results are those of :func:`pydicom.pixels.iter_pixels`, except where pydicom is wrong or slow (see
    ``pipeline/frames/DIFFERENCES.md``), with memory for one frame and time for the requested ones.

    Parameters
    ----------
    src : str, path-like, binary file object or Dataset
        A path, or a URL (``s3://…``, ``https://…``, see :func:`storage_options`). A seekable file object is read
        from its beginning, only in the necessary ranges; it stays open, and its position is restored.
    ds_out : Dataset, optional
        Receives the File Meta Information, the elements of group 0028, the extended offset table, and the elements of
        `specific_tags`, before the first frame is yielded. Ignored if `src` is a Dataset.
    specific_tags : list of int, optional
        Further tags for `ds_out`.
    indices : Iterable[int], optional
        Frame indices from 0 in any order, with or without repetitions; consumed lazily. None for all frames; empty for none.
    raw : bool
        Don't convert YBR_FULL and YBR_FULL_422 to RGB.
    decoding_plugin : str
        The only plugin to use; empty for all available.
    **kwargs
        pydicom's decoding options, and Image Pixel attributes that take precedence over the file's.

    Yields
    ------
    numpy.ndarray
        ``(rows, columns)`` or ``(rows, columns, samples)``; writeable and not shared, or with ``view_only=True`` read-only for
        native data. Without `indices`, the type may be the smallest for a codestream's precision; with `indices`, it is
        the type of Bits Allocated.

    Raises
    ------
    FrameIndexError
        For an index outside ``[0, Number of Frames)``; an IndexError.
    PixelDataError
        If frames are missing or damaged, after the found frames have been yielded; a ValueError.
    DecodeError
        If no plugin can decode a frame; a RuntimeError.
    MissingAttributeError, NoPixelDataError, InvalidAttributeError, UnsupportedTransferSyntaxError
        As in pydicom: AttributeError, AttributeError, ValueError, NotImplementedError.
    FileNotFoundError
        If the path doesn't exist; for a URL, a SourceError.
    """
    _require_pipeline()
    from pipeline.frames import iter_frames

    own: dict[str, Any] = {"ds_out": ds_out, "specific_tags": specific_tags, "indices": indices}
    return iter_frames(src, **own, raw=raw, decoding_plugin=decoding_plugin, **kwargs)


def build_index(src: PathOrUrl | BinaryIO | Dataset, **kwargs: Any) -> FrameIndex:
    """Return the frame index of one instance: where every frame's bytes lie, with all that decoding one needs.

    Parameters
    ----------
    src : str, path-like, binary file object or Dataset
        A file object is left open and where it was. The offsets of a Dataset's index count within its pixel data.
    **kwargs
        Image Pixel attributes (``rows=…``) that take precedence over the header's; ``lenient=True`` to index the frames that are
        there if some are missing.

    Raises
    ------
    PipelineError
        One of its children, if the file can't be read, or isn't an image.
    """
    _require_pipeline()
    from pipeline.frames import build_index

    return build_index(src, **kwargs)


def storage_options(**values: Any) -> AbstractContextManager[None]:
    """Say how object stores are reached by what is opened in the block.

    Parameters
    ----------
    **values
        The keys of the configuration's section ``storage``: ``endpoint``, ``region``, ``profile``, ``anonymous``,
        ``allow_http``, ``retries``, ``timeout``, …

    Examples
    --------
    >>> with dcm2zarr.storage_options(endpoint="https://s3.example.org"):
    ...     images = dcm2zarr.open("s3://results/ct")
    """
    _require_pipeline()
    from pipeline.storage import storage_options

    return storage_options(**values)


def _require_pipeline() -> None:
    """Refuse to go on with another module named ``pipeline`` in the place of ours; nothing of it is imported.

    Raises
    ------
    ImportError
        Naming the file that is in the way, and what to do.
    """
    from importlib.util import find_spec
    from pathlib import Path

    found = sys.modules.get("pipeline") or find_spec("pipeline")
    beside = Path(__file__).resolve().parent.parent
    places = list(getattr(found, "__path__", None) or getattr(found, "submodule_search_locations", None) or ())
    if any(Path(place).resolve() == (beside / "pipeline").resolve() for place in places):
        return
    if found is None:
        raise ImportError(
            f"the package pipeline, which dcm2zarr is made of, is missing in {str(beside)!r}: install dcm2zarr again "
            "(pip install --force-reinstall dcm2zarr)",
            name="pipeline",
        )
    file = getattr(found, "__file__", None) or getattr(found, "origin", None) or next(iter(places), str(found))
    raise ImportError(
        f"{file!r} is in the way: it is named pipeline, as is the package that dcm2zarr is made of, and Python finds it first. "
        "Rename it, run from another folder, or start Python with -P, which doesn't look into the current folder; if it is an "
        "installed package, use an environment without it",
        name="pipeline",
        path=file,
    )


if not TYPE_CHECKING:  # else any name would pass for a name of this module

    def __getattr__(name: str) -> object:
        """Import a type, or the codecs, when they are asked for."""
        if name == "codecs":
            return import_module("dcm2zarr.codecs")
        if name in _HOME:
            _require_pipeline()
            return getattr(import_module(_HOME[name]), name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*__all__, *(name for name in globals() if name.startswith("__"))})
