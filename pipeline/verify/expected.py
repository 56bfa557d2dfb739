"""The contents that a result should have, according to plan and ledger."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from pipeline import catalog
from pipeline.errors import OutputError, foreign_text
from pipeline.model import Failure, ImageSpec, Plan
from pipeline.outcomes import Outcomes
from pipeline.output import Finished, ledger
from pipeline.plan import is_result_of
from pipeline.runs import Prepared, load
from pipeline.storage import OutputDir
from pipeline.tasks import FinaliseInput, make_finalise_input
from pipeline.verify.problems import Problem


@dataclass(slots=True)
class ExpectedResult:
    """The plan, and its outcomes according to the ledger."""

    out: OutputDir
    plan: Plan
    finished: Finished
    prepared: Prepared
    """The preparation that contains the plan."""
    outcomes: Outcomes
    replaced: set[int]
    """Instances, by position, whose files have been replaced: no row of the catalog describes them."""
    standing: frozenset[str]
    """Paths of images that stand there until the images that are being made aside replace them."""

    @classmethod
    def read(cls, out: OutputDir, prepared: Prepared, finished: Finished) -> ExpectedResult:
        """Fold the ledger's results into outcomes of instances and images; a task without a result counts as failed."""
        plan = prepared.plan
        standing = frozenset(image.path for image in prepared.standing.images)
        complete = {image for image in finished.images if plan.images[image].path not in standing}
        outcomes = Outcomes(plan, keep_frames=True, complete=complete)
        for task in plan.tasks:
            if result := finished.results.get(task.id):
                outcomes.add(result)
            else:
                outcomes.lose(
                    task.id, Failure("not_converted", "the task that was to convert it has no recorded result")
                )
        return cls(out, plan, finished, prepared, outcomes, prepared.replaced_instances(), standing)

    @property
    def copies(self) -> frozenset[str]:
        """Files that the plan left out because they are copies of others."""
        return frozenset(copy.source for copy in self.prepared.copies)

    def is_complete(self, image: int) -> bool:
        """Return whether the image was finalised and is in its place."""
        return image in self.outcomes.complete

    def by_source(self) -> dict[str, int]:
        """Return the position of each file's instance, as of the last scan."""
        return {instance.source: i for i, instance in enumerate(self.plan.instances) if i not in self.replaced}

    def held_before(self) -> set[str]:
        """Return the changed files whose earlier content a complete image keeps."""
        kept = self.replaced - self.outcomes.failures.keys()
        images = (spec for image, spec in enumerate(self.plan.images) if kept and self.is_complete(image))
        found = (placement.instance for spec in images for placement in spec.placements if placement.instance in kept)
        return {self.plan.instances[i].source for i in found}

    def finalise_input_of(self, image: int) -> FinaliseInput:
        """Return the input that the image's finalise task had."""
        regions = self.outcomes.regions(image)
        return make_finalise_input(self.outcomes, image, regions, out=self.out, codec={}, provenance={})

    def owners(self, image: int, frames: range | None) -> set[int]:
        """Return the instances, by position, that own any of these frames (None: all frames)."""
        placements = self.plan.images[image].placements
        if frames is None:
            return {placement.instance for placement in placements}
        return {
            placement.instance
            for placement in placements
            if placement.position < frames.stop and frames.start < placement.positions.stop
        }


def without_placements(spec: ImageSpec) -> ImageSpec:
    """Return the layout alone, for tasks that don't need the placements."""
    return replace(
        spec, study_instance_uid="", series_instance_uid="", modality="", order="", placements=(), aside=False
    )


def read_expected(out: OutputDir) -> tuple[ExpectedResult | None, list[Problem]]:
    """Read plan and ledger; without a readable plan there is nothing to compare the result with.

    Raises
    ------
    OutputError
        If `out` holds neither plan nor ledger nor images, so it isn't a result; or if another version made it.
    """
    problems: list[Problem] = []
    if not catalog.has_plan(out) and not out.catalog.exists():
        message = "the run ended before it had a plan: run the same command again"
        return None, [Problem("unfinished_run", out.PLAN, message)]
    try:
        prepared: Prepared | None = _plan(out)
    # Parquet readers raise anything on damaged files, and such damage is a finding.
    except Exception as error:
        if isinstance(error, OutputError) and error.reason == "other_version":
            raise
        problems.append(Problem("plan_unreadable", out.PLAN, foreign_text(error)))
        prepared = None
    try:
        finished = ledger.read(out, prepared.id if prepared else None)
    except OutputError as error:
        problems.append(Problem("ledger_damaged", out.LEDGER, str(error)))
        finished = _read_without_plan(out)
    problems += [Problem("ledger_damaged", out.LEDGER, damage) for damage in finished.damage]
    if prepared is None:
        return None, problems
    whole = _keep_records_of_plan(prepared.plan, finished)
    problems += [
        Problem("ledger_damaged", out.LEDGER, message) for message in _describe_dropped_records(finished, whole)
    ]
    return ExpectedResult.read(out, prepared, whole), problems


def _plan(out: OutputDir) -> Prepared:
    prepared = load(out)
    if prepared is None:
        raise OutputError(f"{out} holds no whole plan")
    return prepared


def _read_without_plan(out: OutputDir) -> Finished:
    try:
        return ledger.read(out)
    except OutputError:
        return Finished()


def _keep_records_of_plan(plan: Plan, finished: Finished) -> Finished:
    """Return the part of the records that are results of the plan's tasks, and images whose tasks all have one."""
    results = {task: result for task, result in finished.results.items() if is_result_of(plan, result)}
    open_images = {region.image for task in plan.tasks if task.id not in results for region in task.regions}
    images = frozenset(image for image in finished.images if image < len(plan.images) and image not in open_images)
    return replace(finished, results=results, images=images)


def _describe_dropped_records(finished: Finished, whole: Finished) -> Iterator[str]:
    for task in sorted(finished.results.keys() - whole.results.keys()):
        yield f"the record of task {task} isn't a result of such a task"
    for image in sorted(finished.images - whole.images):
        yield f"image {image} is recorded as complete, but not the results of all its tasks"
