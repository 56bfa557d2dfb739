"""Read the ledger's records of a plan's own tasks and images; foreign lines in the ledger are no results."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping

from pipeline.model import Plan, TaskResult
from pipeline.outcomes import Outcomes
from pipeline.output import ledger
from pipeline.plan import is_result_of
from pipeline.storage import OutputDir


def results(out: OutputDir, plan_id: str, plan: Plan) -> Iterator[TaskResult]:
    """Yield the finished tasks of a plan, one at a time, oldest first; see :func:`pipeline.output.ledger.read`.

    Parameters
    ----------
    out : OutputDir
    plan_id : str
        Name of the plan in the ledger.
    plan : Plan
    """
    return (result for result in ledger.results(out, plan_id) if is_result_of(plan, result))


def images(out: OutputDir, plan_id: str, plan: Plan) -> dict[int, str]:
    """Return the finalised images of a plan, by position, each with its digest; parameters as of :func:`results`."""
    found = ledger.images(out, plan_id)
    return {image: digest for image, digest in found.items() if image < len(plan.images)}


def latest_results(
    out: OutputDir, plan_id: str, plan: Plan, counts: Mapping[int, int] | None = None
) -> Iterator[TaskResult]:
    """Yield the last result of each task of a plan; parameters as of :func:`results`.

    `counts` gives the number of results of each task, if known; otherwise the ledger is read twice.
    """
    left = Counter((result.task for result in results(out, plan_id, plan)) if counts is None else counts)
    for result in results(out, plan_id, plan):
        left[result.task] -= 1
        if not left[result.task]:
            yield result


def outcomes(out: OutputDir, plan_id: str, plan: Plan) -> Outcomes:
    """Return the outcome of a plan's instances and images according to the ledger; parameters as of :func:`results`."""
    found = Outcomes(plan, complete=set(images(out, plan_id, plan)))
    for result in latest_results(out, plan_id, plan):
        found.add(result)
        for region in result.regions:  # the results of single frames would be many, and nobody needs them here
            found.take_regions(region.image)
    return found
