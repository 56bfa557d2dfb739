"""What the ledger has on a plan's own tasks and images: lines that somebody else wrote into it are no results."""

from __future__ import annotations

from collections.abc import Iterator

from pipeline import ledger
from pipeline.engine.state import Prepared
from pipeline.model import TaskResult
from pipeline.plan import is_result_of
from pipeline.storage import Place


def results(out: str | Place, prepared: Prepared) -> Iterator[TaskResult]:
    """Yield the finished tasks of a plan, one at a time, oldest first; see :func:`pipeline.ledger.read`."""
    return (result for result in ledger.results(out, prepared.id) if is_result_of(prepared.plan, result))


def images(out: str | Place, prepared: Prepared) -> dict[int, str]:
    """Return the finalised images of a plan, by position, each with its digest."""
    found = ledger.images(out, prepared.id)
    return {image: digest for image, digest in found.items() if image < len(prepared.plan.images)}
