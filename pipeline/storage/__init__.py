"""Places with bytes: local folders, object stores (s3, gs, az) and, to read from, web servers.

::

    place(name) ─► Place: read, write whole, list, remove              what a run leaves, and where
    open_source(name) ─► a file read by ranges, several in flight      what a run reads
    using(options) ─► endpoint, region, retries … for all of the above, carried to workers with each task

The only room that knows obstore and the DICOMweb client. Names are paths or URLs (``s3://bucket/key``); credentials are never part of them.
"""

from pipeline.storage.any_place import Place, is_inner
from pipeline.storage.beneath import Folder
from pipeline.storage.context import Carried
from pipeline.storage.entries import linked
from pipeline.storage.exhausted import check_address_space, control_group_memory, exhausted
from pipeline.storage.growing import GrowingFile, growing
from pipeline.storage.lacking import CALLS, doing_without, note, take_notes
from pipeline.storage.local_file import MAY_PASS, persistently
from pipeline.storage.local_place import LocalPlace
from pipeline.storage.objects import RangeFile
from pipeline.storage.opening import find_instances, open_source
from pipeline.storage.options import Options, active, storage_options, using
from pipeline.storage.origins import LOCAL_ORIGIN, dicomweb_origins, origin_of
from pipeline.storage.output_dir import PARTIAL, UNFINISHED, ZARR_JSON, OutputDir
from pipeline.storage.ownership import strangers
from pipeline.storage.patience import MOVED, PAUSES, patiently
from pipeline.storage.places import place
from pipeline.storage.positioned import PositionedFile
from pipeline.storage.prefetch import Expected, Reading, prefetching
from pipeline.storage.remote_place import RemotePlace
from pipeline.storage.remote_requests import ConditionsNotServedError, Found, find
from pipeline.storage.trouble import unwritable
from pipeline.storage.urls import DICOMWEB, STORES, WEB, absolute, check_url, hidden, holds_user, is_remote, scheme_of

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
    "check_address_space",
    "check_url",
    "control_group_memory",
    "dicomweb_origins",
    "doing_without",
    "exhausted",
    "find",
    "find_instances",
    "growing",
    "hidden",
    "holds_user",
    "is_inner",
    "is_remote",
    "linked",
    "note",
    "open_source",
    "origin_of",
    "patiently",
    "persistently",
    "place",
    "prefetching",
    "scheme_of",
    "storage_options",
    "strangers",
    "take_notes",
    "unwritable",
    "using",
]
