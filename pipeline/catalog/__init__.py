"""The Parquet tables: scan segments, the catalog, the saved plan, and lists of paths.

Columns of DICOM keywords are typed: numbers ``float64`` (VR DS, FL, FD), integers ``int64`` (IS, US, …), else text.
A keyword whose value multiplicity isn't 1 becomes a list of these. Null means absent, empty, or not convertible;
values that aren't convertible are in ``unconverted``.
"""

from pipeline.catalog.assemble import LargeRowsError, assemble
from pipeline.catalog.catalog_rows import (
    count_reasons,
    iter_rows,
    open_catalog,
    read_failures,
    read_partly_stored,
    read_reasons,
    read_row,
)
from pipeline.catalog.image_table import make_image_table, read_image_table, write_image_table
from pipeline.catalog.lists import LIST_SUFFIXES, read_path_list
from pipeline.catalog.plan_seal import check_layout, has_plan, read_facts, remove_plan
from pipeline.catalog.plan_tables import read_copies, read_plan, read_standing, write_plan
from pipeline.catalog.results import is_remote_result, is_result
from pipeline.catalog.scanned import forget_scanned, load_or_make_salt, read_scanned, write_scanned
from pipeline.catalog.segments import (
    Identity,
    KnownFile,
    RowAttributes,
    SegmentWriter,
    count_scanned,
    identity,
    open_segment,
    read_attributes,
    read_listing,
    read_rows,
    read_unstored,
    write_segment,
)
from pipeline.catalog.table_columns import DEFAULT_KEYWORDS, PENDING, Kind, catalog_schema, segment_schema
from pipeline.catalog.verify_table import read_verified, write_verdicts

__all__ = [
    "DEFAULT_KEYWORDS",
    "LIST_SUFFIXES",
    "PENDING",
    "Identity",
    "Kind",
    "KnownFile",
    "LargeRowsError",
    "RowAttributes",
    "SegmentWriter",
    "assemble",
    "catalog_schema",
    "check_layout",
    "count_reasons",
    "count_scanned",
    "forget_scanned",
    "has_plan",
    "identity",
    "is_remote_result",
    "is_result",
    "iter_rows",
    "load_or_make_salt",
    "make_image_table",
    "open_catalog",
    "open_segment",
    "read_attributes",
    "read_copies",
    "read_facts",
    "read_failures",
    "read_image_table",
    "read_listing",
    "read_partly_stored",
    "read_path_list",
    "read_plan",
    "read_reasons",
    "read_row",
    "read_rows",
    "read_scanned",
    "read_standing",
    "read_unstored",
    "read_verified",
    "remove_plan",
    "segment_schema",
    "write_image_table",
    "write_plan",
    "write_scanned",
    "write_segment",
    "write_verdicts",
]
