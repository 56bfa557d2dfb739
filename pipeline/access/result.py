"""Open the result in an output directory."""

from __future__ import annotations

import os
import warnings
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import dask.array as da
import xarray as xr

from pipeline import store
from pipeline.access.image_datasets import printable_attributes
from pipeline.access.images import Images
from pipeline.access.table import ImageRow
from pipeline.catalog import open_catalog
from pipeline.errors import OutputError
from pipeline.printable import printable
from pipeline.storage import OutputDir

if TYPE_CHECKING:
    import pandas as pd

PIXELS = "pixels"
Blocks = Literal["shard", "chunk"]


class Result(Images):
    """The images of one output directory, which are read when they are used; see :func:`open`."""

    def __init__(self, out: OutputDir, blocks: Blocks) -> None:
        self.out = out
        self._blocks = blocks

    @cached_property
    def catalog(self) -> pd.DataFrame:
        """The catalog: the rows of ``catalog.parquet``, one for each found file, without the full headers.

        Raises
        ------
        OutputError
            If the run has not finished.
        """
        frame: pd.DataFrame = open_catalog(self.out, without=("header",)).to_pandas()
        return frame

    def _list(self) -> list[str]:
        return store.list_images(self.out)

    def _exists(self, path: str) -> bool:
        return store.is_image(self.out, path)

    def _rows(self) -> list[ImageRow]:
        return [_row(layout) for layout in store.image_layouts(self.out, self.paths)]

    def _open(self, path: str) -> xr.Dataset:
        dataset: xr.Dataset = xr.open_zarr(
            store.image_location(self.out, path),
            consolidated=True,
            zarr_format=3,
            chunks=None,
            decode_times=False,
            mask_and_scale=False,
        )
        pixels = store.open_plain_pixels(self.out, path)
        chunks = pixels.chunks if self._blocks == "chunk" else pixels.shards or pixels.chunks
        lazy = da.from_zarr(pixels, chunks=chunks)  # type: ignore[no-untyped-call]
        dataset[PIXELS] = (dataset[PIXELS].dims, lazy, dataset[PIXELS].attrs)
        dataset.attrs = printable_attributes(dataset.attrs)
        _warn_of_missing_frames(path, dataset)
        return dataset


def open(  # noqa: A001  dcm2zarr.open, as zarr.open and xarray.open_…
    out: str | os.PathLike[str], *, chunks: Blocks = "shard", unfinished: bool = False
) -> Result:
    """Open the result of a conversion lazily.

    Parameters
    ----------
    out : path-like
        The output directory.
    chunks : {"shard", "chunk"}, optional
        Make Dask blocks of whole shards (fewest reads), or of single chunks (usually one frame).
    unfinished : bool, optional
        Also open the result of a run that hasn't finished, or is still running, with the images that are complete so far.

    Returns
    -------
    Result
        A mapping of image path (or any unique part of it) to :class:`xarray.Dataset`: ``pixels`` over
        ``(frame, y, x)``, or ``(t, c, y, x)`` in colour, as a Dask array, the per-frame arrays as coordinates, the DICOM attributes
        that hold for all frames in ``attrs``. ``.images`` is a table of the images, ``.catalog`` one of the files.

    Raises
    ------
    OutputError
        If `out` isn't a result, or isn't finished.
    ValueError
        For other values of `chunks`.

    Examples
    --------
    >>> images = dcm2zarr.open("out")
    >>> images.images
    >>> images["1.2.840"].pixels.mean("frame").compute()
    """
    if chunks not in ("shard", "chunk"):
        raise ValueError(f"chunks={chunks!r}: expected 'shard' or 'chunk'")
    folder = OutputDir(os.fspath(out))
    store.check_result(folder)
    if not unfinished and not folder.catalog.exists():
        raise OutputError(
            f"The run in {folder.name!r} has not finished: it has no catalog yet. Run the same command again to finish "
            "it, or open the images that are complete so far with unfinished=True",
            reason="no_result",
        )
    return Result(folder, chunks)


def _warn_of_missing_frames(path: str, dataset: xr.Dataset) -> None:
    """Warn that some frames are missing, so their zeros aren't mistaken for pixels."""
    missing = dataset.attrs.get("frames_missing", 0)
    if missing:
        warnings.warn(
            f"{printable(path)}: {missing} of {dataset.frame_number.size} frames are missing, their pixels mean nothing; select the "
            f"other frames by images[…].isel({dataset.frame_number.dims[0]}=images[…].valid.values)",
            stacklevel=4,
        )


def _row(layout: store.ImageLayout) -> ImageRow:
    attributes: dict[str, Any] = layout.attributes
    missing = attributes.get("frames_missing", 0)
    return ImageRow(
        path=layout.path,
        shape=layout.shape,
        dtype=layout.dtype,
        chunks=layout.chunks,
        shards=layout.shards,
        modality=str(attributes.get("Modality") or ""),
        series_description=str(attributes.get("SeriesDescription") or ""),
        status=f"{missing} frame(s) missing" if missing else str(attributes.get("status", "")),
    )
