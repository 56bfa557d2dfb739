"""How a folder that holds what a run leaves is told from all others."""

from __future__ import annotations

from collections.abc import Collection

from pipeline.catalog.plan_tables import has_plan
from pipeline.storage import ZARR_JSON, OutputDir

_BEGUN = frozenset({OutputDir.PLAN, OutputDir.LEDGER, OutputDir.RUN_FILE})
_PLANNED = frozenset({OutputDir.PLAN, OutputDir.LEDGER, OutputDir.IMAGES})


def is_result(folder: str, names: Collection[str]) -> bool:
    """Whether a run writes, or wrote, its output into a folder or below a prefix that holds these names.

    One that has a plan may hold other things too; one that was only begun has nothing else in it.
    """
    found = set(names)
    return (found >= _PLANNED and has_plan(OutputDir(folder))) or (_BEGUN <= found <= set(OutputDir.OURS))


def is_remote_result(url: str) -> bool:
    """Whether what lies below a prefix of an object store is a result: two requests tell."""
    out = OutputDir(url)
    return has_plan(out) and out.image(ZARR_JSON).exists()
