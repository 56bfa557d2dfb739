"""Tell a run's output directory from all other folders."""

from __future__ import annotations

from collections.abc import Collection

from pipeline.catalog.plan_seal import has_plan
from pipeline.storage import ZARR_JSON, OutputDir

_BEGUN = frozenset({OutputDir.PLAN, OutputDir.LEDGER, OutputDir.RUN_FILE})
_PLANNED = frozenset({OutputDir.PLAN, OutputDir.LEDGER, OutputDir.IMAGES})


def is_result(folder: str, names: Collection[str]) -> bool:
    """Return whether a run writes, or wrote, its output into a folder, or below a prefix, that holds `names`.

    A folder with a plan may hold other things too; a run that has only begun leaves nothing else in its folder.
    """
    found = set(names)
    return (found >= _PLANNED and has_plan(OutputDir(folder))) or (_BEGUN <= found <= set(OutputDir.OURS))


def is_remote_result(url: str) -> bool:
    """Return whether a run's output lies below a prefix of an object store; costs two requests."""
    out = OutputDir(url)
    return has_plan(out) and out.image(ZARR_JSON).exists()
