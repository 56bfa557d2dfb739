"""What a run leaves in its output directory, by name; and how such a folder is told from all others."""

from __future__ import annotations

from collections.abc import Collection

from pipeline.catalog.plan_tables import has_plan
from pipeline.storage import place

RUN_FILE = "run.yaml"
OURS = (
    "images.zarr", "catalog.parquet", "plan", "ledger", "report.json", "report.html", RUN_FILE, "verify.parquet", "verify.json",
)  # fmt: skip
"""What a run leaves in its output directory, and all that ``overwrite`` removes."""
_BEGUN = frozenset({"plan", "ledger", RUN_FILE})
_PLANNED = frozenset({"plan", "ledger", "images.zarr"})


def is_result(folder: str, names: Collection[str]) -> bool:
    """Whether a run writes, or wrote, its output into a folder or below a prefix that holds these names.

    One that has a plan may hold other things too; one that was only begun has nothing else in it.
    """
    found = set(names)
    return (found >= _PLANNED and has_plan(folder)) or (_BEGUN <= found <= set(OURS))


def is_remote_result(url: str) -> bool:
    """Whether what lies below a prefix of an object store is a result: two requests tell."""
    return has_plan(url) and (place(url) / "images.zarr" / "zarr.json").exists()
