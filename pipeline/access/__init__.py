"""Open a result, or untouched DICOM files, as lazy arrays, for notebooks. The only room that knows xarray.

Both ways give the same: a mapping of image path to :class:`xarray.Dataset` with the variable ``pixels`` over
``(frame, y, x)``, or ``(t, c, y, x)`` in colour, per-frame values as coordinates, and the values that interpret the pixels as attributes.
Files are read only when they are used, and pixels only when they are computed.
"""

from pipeline.access.table import ImageRow
from pipeline.dask_import import import_dask

import_dask()  # before modules that import Dask themselves
# ruff: noqa: E402
from pipeline.access.dicom import open_dicom
from pipeline.access.images import Images
from pipeline.access.result import Result, open  # noqa: A004  pipeline.open, as zarr.open and xarray.open_…
from pipeline.access.table import ImageTable

__all__ = ["ImageRow", "ImageTable", "Images", "Result", "open", "open_dicom"]
