"""The convert phase: the plan's tasks and, once an image's last shard is stored, its finalise task."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from pipeline.deid import Gate
from pipeline.errors import OutputError, PipelineError, foreign_text
from pipeline.executors import Executor, Outcome, Progress
from pipeline.isolation import Bounds, guarded
from pipeline.model import Failure, Plan, Task, TaskInput, TaskResult
from pipeline.outcomes import Outcomes, Work
from pipeline.output import Ledger, show_at_work
from pipeline.plan import task_input
from pipeline.runs.timeline import Timeline
from pipeline.storage import OutputDir, as_place_error, as_resource_error
from pipeline.store import remove_image
from pipeline.tasks import (
    FinaliseInput,
    Job,
    convert,
    convert_carefully,
    finalise,
    keep_freed_memory,
    make_finalise_input,
)


@dataclass(frozen=True, slots=True)
class Discard:
    """An image that couldn't be stored at all."""

    image: int
    path: str
    aside: bool
    """Whether it was made beside a finished image."""


Step = TaskInput | FinaliseInput | Discard


def execute(step: Step, job: Job) -> TaskResult | str | None:
    """Run one step; this function travels to the workers."""
    with show_at_work(job.out, job.lock):
        return _execute(step, job)


def _execute(step: Step, job: Job) -> TaskResult | str | None:
    if isinstance(step, TaskInput):
        keep_freed_memory()
        return guarded(
            lambda watch: convert(step, job, watch=watch),
            lambda: convert_carefully(step, job),
            Bounds(job.frame_seconds, job.task_memory + job.decode_memory),
        )
    if isinstance(step, FinaliseInput):
        return finalise(step)
    remove_image(job.out, step.path, aside=step.aside)
    return None


def execute_carefully(step: Step, job: Job) -> TaskResult | str | None:
    """Run one step whose worker died, in processes of its own, so that its decoders can't kill another worker."""
    return convert_carefully(step, job) if isinstance(step, TaskInput) else execute(step, job)


@dataclass(slots=True)
class Conversion:
    """Schedules the running tasks and the steps of images that are ready to run; `outcomes` holds the results."""

    plan: Plan
    job: Job
    provenance: Mapping[str, Any]
    progress: Progress
    timeline: Timeline = field(default_factory=Timeline)
    work: Work = field(default_factory=Work)
    """Work of this process; earlier runs did the rest."""
    outcomes: Outcomes = field(init=False)
    _running: int = 0
    _ready: deque[FinaliseInput | Discard] = field(default_factory=deque)

    def __post_init__(self) -> None:
        self.outcomes = Outcomes(self.plan)

    @property
    def remaining(self) -> list[Task]:
        """The tasks still to be done, in the plan's order."""
        return self.outcomes.remaining

    @property
    def missing_bytes(self) -> int:
        """Most bytes still to be stored, before compression."""
        return sum(task.stored_bytes for task in self.remaining)

    @property
    def is_finished(self) -> bool:
        """Whether no task and no image is left to do."""
        return not self.remaining and not any(isinstance(step, FinaliseInput) for step in self._ready)

    def run(self, executor: Executor, tasks: Sequence[Task], ledger: Ledger, *, finalising: bool = True) -> None:
        """Run `tasks`, and finalise every image whose shards are all stored.

        Parameters
        ----------
        executor : Executor
        tasks : sequence of Task
            Any of :attr:`remaining`; none to finalise images only.
        ledger : Ledger
            Records what is finished.
        finalising : bool
            False leaves the images to another process, which restores what this one recorded.

        Raises
        ------
        OutputError, ResourceError
            If the output can't be written: no space, no permission, a failing server; or if memory, open files or
            processes run out. Everything recorded until then stays.
        """
        steps = self._steps(tasks, finalising=finalising)
        once, again = partial(execute, job=self.job), partial(execute_carefully, job=self.job)
        for outcome in executor.map(once, steps, name="convert", carefully=again):
            if outcome.error is not None and (
                ending := _error_that_ends_run(outcome.item, outcome.error, self.job.out)
            ):
                raise ending
            if isinstance(outcome.item, TaskInput):
                self._task_done(outcome, ledger)
            else:
                self._image_done(outcome, ledger)

    def restore(self, result: TaskResult) -> None:
        """Take in an earlier run's result of a task; each task once."""
        self._finalise_when_ready(self.outcomes.add(result))

    def _steps(self, tasks: Sequence[Task], *, finalising: bool) -> Iterator[Step | None]:
        for task in tasks:
            while finalising and self._ready:
                yield self._ready.popleft()
            self._running += 1
            yield task_input(self.plan, task)
        while self._running or (finalising and self._ready):
            yield self._ready.popleft() if finalising and self._ready else None

    def _task_done(self, outcome: Outcome, ledger: Ledger) -> None:
        self._running -= 1
        before = len(self.outcomes.failures)
        frames = decoded = 0
        if outcome.error is None:
            result: TaskResult = outcome.result
            frames, decoded = result.frames, result.decoded_bytes
            ledger.append(result)
            self.work.add(result)
            ended = self.outcomes.add(result)
        else:
            ended = self.outcomes.lose(outcome.item.id, _failure_of_lost_task(outcome.error, self.job.gate))
        self._finalise_when_ready(ended)
        self.timeline.add(frames, decoded)
        failures = len(self.outcomes.failures) - before
        self.progress.advance(frames=frames, bytes=decoded, failures=failures)

    def _finalise_when_ready(self, images: Iterable[int]) -> None:
        """Queue the last step of the images whose tasks have all ended."""
        for image in images:
            if image in self.outcomes.complete:
                continue
            regions = self.outcomes.take_regions(image)
            if self.outcomes.is_empty(image):
                spec = self.plan.images[image]
                self._ready.append(Discard(image, spec.path, spec.aside))
                continue
            out, codec = self.job.out, self.job.codec
            step = make_finalise_input(self.outcomes, image, regions, out=out, codec=codec, provenance=self.provenance)
            self._ready.append(step)

    def _image_done(self, outcome: Outcome, ledger: Ledger) -> None:
        self.progress.advance(images=1)
        if isinstance(outcome.item, Discard):
            return
        if outcome.error is None:
            self.outcomes.complete.add(outcome.item.image)
            ledger.append_image(outcome.item.image, outcome.result)
            return
        message = f"{outcome.item.spec.path}: the image couldn't be completed: {outcome.error}"
        message = self.job.gate.message(message, reason="finalise_failed")
        self.outcomes.fail_image(outcome.item.image, Failure("finalise_failed", message))
        self.progress.message(message)


def _error_that_ends_run(step: Step, error: Exception, out: OutputDir) -> PipelineError | None:
    """Return the error that ends the run if a step failed because of the output or the machine, not because of a file.

    An image's contents may prevent its completion; that must not affect other images. Such an error names no place that can't
    be written.
    """
    if short := as_resource_error(error):
        return short
    if isinstance(error, OutputError):
        its_own = isinstance(step, FinaliseInput) and not error.source and error.reason != "in_use"
        return None if its_own else error
    if isinstance(error, OSError) and error.errno and not isinstance(error, PipelineError):
        return as_place_error(error.filename if isinstance(error.filename, str) else out.name, error)
    return None


def _failure_of_lost_task(error: Exception, gate: Gate) -> Failure:
    """Return the failure of the instances in a task that ended with an error instead of a result."""
    reason = "write_failed" if isinstance(error, OSError) else "worker_lost"
    message = f"The task that converted this file ended with {foreign_text(error)}"
    return Failure(reason, gate.message(message, reason=reason))
