"""Reading what everything else is held against: plan and ledger."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from pipeline import catalog
from pipeline.errors import OutputError, foreign_text
from pipeline.model import Plan
from pipeline.output import Finished, ledger
from pipeline.plan import is_result_of
from pipeline.runs import Prepared, load
from pipeline.storage import OutputDir
from pipeline.verify.expected import ExpectedResult
from pipeline.verify.problems import Problem


def read_expected(out: OutputDir) -> tuple[ExpectedResult | None, list[Problem]]:
    """Read plan and ledger; where the plan can't be read, there is nothing to hold the result against.

    Raises
    ------
    OutputError
        Where `out` holds neither plan nor ledger nor images: it is no result at all.
    """
    problems: list[Problem] = []
    if not catalog.has_plan(out) and not out.catalog.exists():
        told = "the run ended before it had a plan: run the same command again"
        return None, [Problem("unfinished_run", out.PLAN, told)]
    try:
        prepared: Prepared | None = _plan(out)
    # Parquet readers raise anything on damaged files; that they do is what is looked for
    except Exception as error:  # noqa: BLE001
        problems.append(Problem("plan_unreadable", out.PLAN, foreign_text(error)))
        prepared = None
    try:
        finished = ledger.read(out, prepared.id if prepared else None)
    except OutputError as error:
        problems.append(Problem("ledger_damaged", out.LEDGER, str(error)))
        finished = _without_plan(out)
    problems += [Problem("ledger_damaged", out.LEDGER, damage) for damage in finished.damage]
    if prepared is None:
        return None, problems
    whole = _of_plan(prepared.plan, finished)
    problems += [Problem("ledger_damaged", out.LEDGER, told) for told in _left_out(finished, whole)]
    return ExpectedResult.read(out, prepared, whole), problems


def _plan(out: OutputDir) -> Prepared:
    prepared = load(out)
    if prepared is None:
        raise OutputError(f"{out} holds no whole plan")
    return prepared


def _without_plan(out: OutputDir) -> Finished:
    try:
        return ledger.read(out)
    except OutputError:
        return Finished()


def _of_plan(plan: Plan, finished: Finished) -> Finished:
    """Return what of it is results of the plan's tasks, and images of which every task has one."""
    results = {task: result for task, result in finished.results.items() if is_result_of(plan, result)}
    open_images = {region.image for task in plan.tasks if task.id not in results for region in task.regions}
    images = frozenset(image for image in finished.images if image < len(plan.images) and image not in open_images)
    return replace(finished, results=results, images=images)


def _left_out(finished: Finished, whole: Finished) -> Iterator[str]:
    for task in sorted(finished.results.keys() - whole.results.keys()):
        yield f"what is recorded of task {task} isn't a result of such a task"
    for image in sorted(finished.images - whole.images):
        yield f"image {image} is recorded as complete, but not what its tasks stored"
