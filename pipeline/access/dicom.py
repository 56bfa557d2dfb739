"""Open untouched DICOM files: read headers now, and frames when they are computed."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from functools import partial
from glob import has_magic
from typing import Any, BinaryIO, overload

import xarray as xr

from pipeline import frames
from pipeline.access.blocks import Decoding, FrameSource, frames_of_file
from pipeline.access.dicom_folders import DicomImages, scan_images
from pipeline.access.image_datasets import DescribedInstance, build_dataset, decoded_photometric
from pipeline.catalog import LIST_SUFFIXES
from pipeline.deid import Gate
from pipeline.model import PixelFormat, describe_dimensions, frame_axes
from pipeline.storage import DICOMWEB, WEB, absolute, is_remote, place, scheme_of

Source = str | os.PathLike[str]
Decode = Callable[[PixelFormat], Decoding]
_UIDS = ("SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID")
_DICOMDIR = "dicomdir"


@overload
def open_dicom(
    path: Source, *, raw: bool = ..., decoding_plugin: str = ..., frames_per_block: int = ..., **options: Any
) -> xr.Dataset | DicomImages: ...
@overload
def open_dicom(
    path: Sequence[Source], *, raw: bool = ..., decoding_plugin: str = ..., frames_per_block: int = ..., **options: Any
) -> DicomImages: ...
def open_dicom(
    path: Source | Sequence[Source],
    *,
    raw: bool = False,
    decoding_plugin: str = "",
    frames_per_block: int = 1,
    **options: Any,
) -> xr.Dataset | DicomImages:
    """Open DICOM files as lazy arrays, without converting them.

    Headers and item headers are read now. The bytes of a frame are read and decoded when the frame is computed, in any
    process. Memory: one block.

    Parameters
    ----------
    path : path-like or sequence of path-like
        A DICOM file; or a folder, a glob pattern, a DICOMDIR, a .txt, .csv or .parquet list of paths; or several of
        these.
    raw : bool, optional
        Keep YBR_FULL and YBR_FULL_422 as they are instead of converting them to RGB.
    decoding_plugin : str, optional
        The only decoding plugin to use; by default, the plugins are tried in order of speed.
    frames_per_block : int, optional
        Frames in each Dask block.
    **options
        Further decoding options of pydicom.

    Returns
    -------
    xarray.Dataset or Images
        For a file, its ``pixels`` over ``(frame, y, x)``, or ``(t, c, y, x)`` in colour, with per-frame values as
        coordinates and the attributes that hold for all frames in ``attrs``. Otherwise a mapping of such datasets, grouped and
        ordered as a conversion would do it; its ``left_out`` lists files that hold no image.

    Raises
    ------
    SourceError
        If the file doesn't exist.
    PipelineError
        If a file isn't DICOM, has no pixel data, or can't be decoded. Errors of single frames are raised
        when these are computed.
    ValueError
        If `frames_per_block` is less than 1.

    Examples
    --------
    >>> slide = dcm2zarr.open_dicom("slide.dcm")
    >>> slide.pixels[99_999].compute()                       # decodes one frame
    >>> study = dcm2zarr.open_dicom("study/")
    >>> study["stack-1"].pixels.max("frame").compute()
    """
    if frames_per_block < 1:
        raise ValueError(f"frames_per_block={frames_per_block}: expected at least 1")
    decode = partial(Decoding, raw=raw, plugin=decoding_plugin, options=options)
    if isinstance(path, str | os.PathLike) and _is_one_file(os.fspath(path)):
        return _open_file(absolute(os.fspath(path)), decode, frames_per_block)
    paths = [path] if isinstance(path, str | os.PathLike) else list(path)
    return scan_images([os.fspath(name) for name in paths], decode, frames_per_block)


def _is_one_file(path: str) -> bool:
    name = os.path.basename(path).lower()  # noqa: PTH119
    if scheme_of(path) in DICOMWEB:
        return "/instances/" in path
    if is_remote(path):
        plain = not has_magic(path) and not name.endswith(tuple(LIST_SUFFIXES))
        return plain and (scheme_of(path) in WEB or place(path).exists())
    return os.path.isfile(path) and name != _DICOMDIR and not name.endswith(tuple(LIST_SUFFIXES))  # noqa: PTH113


def _identity(file: BinaryIO) -> tuple[int, int, str]:
    found = getattr(file, "found", None)  # only remote files have it
    if found is not None:
        return found.size, found.mtime_ns, found.etag
    info = os.fstat(file.fileno())
    return info.st_size, info.st_mtime_ns, ""


def _open_file(path: str, decode: Decode, frames_per_block: int) -> xr.Dataset:
    with frames.open_source(path) as file:
        size, mtime_ns, etag = _identity(file)
        header = frames.read_header(file, source=path, gate=Gate.of())
        index = frames.index_frames(file, header)
    decoding = decode(frames.pixel_format(header))
    source = FrameSource(path, size, mtime_ns, index, etag)
    constant, by_frame, _ = frames.frame_attributes(header, index.number_of_frames)
    uids, _ = frames.keyword_values(header, _UIDS)
    described = DescribedInstance(str(uids.get("SOPInstanceUID") or ""), constant, by_frame)
    lazy = frames_of_file(source, decoding, frames_per_block)
    return build_dataset(
        lazy,
        [described],
        decoded_photometric(
            decoding.format.photometric_interpretation, raw=decoding.raw, encapsulated=index.encapsulated
        ),
        {name: uids[name] for name in _UIDS[1:] if uids.get(name)}
        | {"dimensions": describe_dimensions(frame_axes(lazy.ndim), "frame_number"), "source": path},
    )
