"""What the ledger has on a plan's own tasks and images: lines that somebody else wrote into it are no results."""

from __future__ import annotations

from collections.abc import Iterator

from pipeline.model import Plan, TaskResult
from pipeline.output import ledger
from pipeline.plan import is_result_of
from pipeline.storage import OutputDir


def results(out: OutputDir, plan_id: str, plan: Plan) -> Iterator[TaskResult]:
    """Yield the finished tasks of a plan, one at a time, oldest first; see :func:`pipeline.output.ledger.read`.

    Parameters
    ----------
    out : OutputDir
    plan_id : str
        What the ledger calls the plan.
    plan : Plan
    """
    return (result for result in ledger.results(out, plan_id) if is_result_of(plan, result))


def images(out: OutputDir, plan_id: str, plan: Plan) -> dict[int, str]:
    """Return the finalised images of a plan, by position, each with its digest; parameters as of :func:`results`."""
    found = ledger.images(out, plan_id)
    return {image: digest for image, digest in found.items() if image < len(plan.images)}
