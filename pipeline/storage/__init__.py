"""Places with bytes: local folders, object stores (s3, gs, az) and, to read from, web servers.

::

    place(name) ─► Place: read, write whole, list, remove              for outputs
    open_source(name) ─► a file read by ranges, several in flight      for sources
    using(options) ─► endpoint, region, retries … for both, carried to workers with each task

Only this room imports obstore and the DICOMweb client. Names are paths or URLs (``s3://bucket/key``) without credentials.
"""

from pipeline.storage.any_place import Place, is_inner
from pipeline.storage.context import Carried
from pipeline.storage.entries import link_error
from pipeline.storage.exhausted import as_resource_error, check_address_space, control_group_memory
from pipeline.storage.file_system_gaps import CALLS, doing_without, note, take_notes
from pipeline.storage.growing import GrowingFile, create_growing_file
from pipeline.storage.linkless_folder import Folder
from pipeline.storage.local_file import MAY_PASS, persistently
from pipeline.storage.local_place import LocalPlace
from pipeline.storage.objects import RangeFile
from pipeline.storage.opening import find_instances, open_source
from pipeline.storage.options import Options, active, storage_options, using
from pipeline.storage.origins import LOCAL_ORIGIN, dicomweb_origins, origin_of
from pipeline.storage.output_dir import PARTIAL, UNFINISHED, ZARR_JSON, OutputDir
from pipeline.storage.ownership import describe_other_writers
from pipeline.storage.patience import MOVED, PAUSES, patiently
from pipeline.storage.places import place
from pipeline.storage.positioned import PositionedFile
from pipeline.storage.prefetch import Expected, Reading, prefetching
from pipeline.storage.remote_place import RemotePlace
from pipeline.storage.remote_requests import ConditionsNotServedError, Found, find
from pipeline.storage.urls import DICOMWEB, STORES, WEB, absolute, check_url, hidden, holds_user, is_remote, scheme_of
from pipeline.storage.write_errors import as_place_error

__all__ = [
    "CALLS",
    "DICOMWEB",
    "LOCAL_ORIGIN",
    "MAY_PASS",
    "MOVED",
    "PARTIAL",
    "PAUSES",
    "STORES",
    "UNFINISHED",
    "WEB",
    "ZARR_JSON",
    "Carried",
    "ConditionsNotServedError",
    "Expected",
    "Folder",
    "Found",
    "GrowingFile",
    "LocalPlace",
    "Options",
    "OutputDir",
    "Place",
    "PositionedFile",
    "RangeFile",
    "Reading",
    "RemotePlace",
    "absolute",
    "active",
    "as_place_error",
    "as_resource_error",
    "check_address_space",
    "check_url",
    "control_group_memory",
    "create_growing_file",
    "describe_other_writers",
    "dicomweb_origins",
    "doing_without",
    "find",
    "find_instances",
    "hidden",
    "holds_user",
    "is_inner",
    "is_remote",
    "link_error",
    "note",
    "open_source",
    "origin_of",
    "patiently",
    "persistently",
    "place",
    "prefetching",
    "scheme_of",
    "storage_options",
    "take_notes",
    "using",
]
