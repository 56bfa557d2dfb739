"""Reading what everything else is held against: plan and ledger."""

from __future__ import annotations

from pipeline import catalog, ledger
from pipeline.errors import OutputError, foreign_text
from pipeline.verify.expected import Expected
from pipeline.verify.problems import Problem


def read_expected(out: str) -> tuple[Expected | None, list[Problem]]:
    """Read plan and ledger; where the plan can't be read, there is nothing to hold the result against.

    Raises
    ------
    OutputError
        Where `out` holds neither plan nor ledger nor images: it is no result at all.
    """
    problems: list[Problem] = []
    if not catalog.has_plan(out) and not catalog.catalog_path(out).exists():
        told = "the run ended before it had a plan: run the same command again"
        return None, [Problem("unfinished_run", "plan", told)]
    try:
        made, standing = catalog.read_plan(out), catalog.read_standing(out)
        facts = catalog.read_facts(out)
        plan_id = facts["id"]
    # Parquet readers raise anything on damaged files; that they do is what is looked for
    except Exception as error:  # noqa: BLE001
        problems.append(Problem("plan_unreadable", "plan", foreign_text(error)))
        made, plan_id = None, None
    try:
        finished = ledger.read(out, plan_id)
    except OutputError as error:
        problems.append(Problem("ledger_damaged", "ledger", str(error)))
        finished = _without_plan(out)
    problems += [Problem("ledger_damaged", "ledger", damage) for damage in finished.damage]
    if made is None:
        return None, problems
    expected = Expected.read(out, made, finished)
    expected.standing = frozenset(image.path for image in standing.images)
    replaced = {(segment, row) for segment, row in facts["replaced"]}
    expected.replaced = {i for i, one in enumerate(made.instances) if (one.segment, one.row) in replaced}
    return expected, problems


def _without_plan(out: str) -> ledger.Finished:
    try:
        return ledger.read(out)
    except OutputError:
        return ledger.Finished()
