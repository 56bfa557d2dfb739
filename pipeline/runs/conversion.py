"""The convert phase: tasks of the plan and, as soon as an image's last shard is in, its finalise task."""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from pipeline.errors import OutputError, PipelineError, foreign_text
from pipeline.executors import Executor, Outcome, Progress
from pipeline.isolation import Bounds, guarded
from pipeline.model import Failure, InstanceOutcome, Plan, RegionResult, Task, TaskInput, TaskResult
from pipeline.output import Ledger, at_work
from pipeline.plan import task_input
from pipeline.runs.timeline import Timeline
from pipeline.storage import exhausted, unwritable
from pipeline.store import home, remove_image
from pipeline.tasks import (
    FinaliseInput,
    Job,
    convert,
    convert_carefully,
    finalise,
    frame_results,
    instances_of,
    keep_freed_memory,
)


@dataclass(frozen=True, slots=True)
class Discard:
    """An image of which nothing could be stored."""

    image: int
    out: str
    """The directory that holds it: that of the output, or of what is made aside."""
    path: str


Step = TaskInput | FinaliseInput | Discard


def execute(step: Step, job: Job) -> TaskResult | str | None:
    """Run one step; this is what travels to the workers."""
    with at_work(job.out, job.lock):
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
    remove_image(step.out, step.path)
    return None


def execute_carefully(step: Step, job: Job) -> TaskResult | str | None:
    """Run one step whose worker died, so that its decoders can't take another one with them."""
    return convert_carefully(step, job) if isinstance(step, TaskInput) else execute(step, job)


@dataclass(slots=True)
class Work:
    """Sums over tasks."""

    tasks: int = 0
    frames: int = 0
    encoded_bytes: int = 0
    decoded_bytes: int = 0

    def add(self, result: TaskResult) -> None:
        """Count a task."""
        self.tasks += 1
        self.frames += result.frames
        self.encoded_bytes += result.encoded_bytes
        self.decoded_bytes += result.decoded_bytes


@dataclass(slots=True)
class Conversion:
    """What is known of a running conversion: a few words for each instance, and the results of unfinished images."""

    plan: Plan
    job: Job
    provenance: Mapping[str, Any]
    progress: Progress
    decoders: dict[int, str] = field(default_factory=dict)
    photometric: dict[int, str] = field(default_factory=dict)
    failures: dict[int, Failure] = field(default_factory=dict)
    done: set[int] = field(default_factory=set)
    """Finished tasks, by number."""
    unfinished: set[int] = field(default_factory=set)
    """Of these, those that were lost: they aren't in the ledger, and another run does them again."""
    salvaged: dict[int, int] = field(default_factory=dict)
    """How many frames are missing of each instance that failed and of which others are stored."""
    complete: set[int] = field(default_factory=set)
    """Images, by position."""
    image_bytes: Counter[int] = field(default_factory=Counter)
    """By image, bytes written, compressed."""
    seconds: Counter[str] = field(default_factory=Counter)
    syntax_seconds: defaultdict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    timeline: Timeline = field(default_factory=Timeline)
    work: Work = field(default_factory=Work)
    """What this process has had done; the rest was done earlier."""
    _salvageable: set[int] = field(default_factory=set)
    _valid: Counter[int] = field(default_factory=Counter)
    """By image, frames that are stored."""
    _regions: defaultdict[int, list[RegionResult]] = field(default_factory=lambda: defaultdict(list))
    _open: Counter[int] = field(default_factory=Counter)
    """By image, regions that no finished task has brought yet."""
    _running: int = 0
    _ready: deque[FinaliseInput | Discard] = field(default_factory=deque)

    def __post_init__(self) -> None:
        self._open.update(region.image for task in self.plan.tasks for region in task.regions)

    @property
    def remaining(self) -> list[Task]:
        """The tasks that are still to be done, in the plan's order."""
        return [task for task in self.plan.tasks if task.id not in self.done]

    @property
    def missing_bytes(self) -> int:
        """What is still to be stored at most, before compression."""
        return sum(task.stored_bytes for task in self.remaining)

    @property
    def is_finished(self) -> bool:
        """Whether no task is left, and no image to complete."""
        return len(self.done) == len(self.plan.tasks) and not any(isinstance(one, FinaliseInput) for one in self._ready)

    def run(self, executor: Executor, tasks: Sequence[Task], ledger: Ledger, *, finalising: bool = True) -> None:
        """Run `tasks`, and finalise every image whose shards are all there.

        Parameters
        ----------
        executor : Executor
        tasks : sequence of Task
            Any of :attr:`remaining`; none to do nothing but finalise.
        ledger : Ledger
            Where what is finished is recorded.
        finalising : bool
            False leaves the images to another process, which restores what this one recorded.

        Raises
        ------
        OutputError, ResourceError
            Where the output can't be written: no space, no permission, a server that fails; where memory, open files or
            processes run out. What was recorded until then stays.
        """
        steps = self._steps(tasks, finalising=finalising)
        once, again = partial(execute, job=self.job), partial(execute_carefully, job=self.job)
        for outcome in executor.map(once, steps, name="convert", carefully=again):
            if outcome.error is not None and (ending := _ending(outcome.item, outcome.error, self.job.out)):
                raise ending
            if isinstance(outcome.item, TaskInput):
                self._task_done(outcome, ledger)
            else:
                self._image_done(outcome, ledger)

    def _steps(self, tasks: Sequence[Task], *, finalising: bool) -> Iterator[Step | None]:
        for task in tasks:
            while finalising and self._ready:
                yield self._ready.popleft()
            self._running += 1
            yield task_input(self.plan, task)
        while self._running or (finalising and self._ready):
            yield self._ready.popleft() if finalising and self._ready else None

    def _task_done(self, outcome: Outcome, ledger: Ledger) -> None:
        task: TaskInput = outcome.item
        self._running -= 1
        if outcome.error is None:
            result: TaskResult = outcome.result
            ledger.append(result)
            self.work.add(result)
        else:
            result = result_of_lost_task(task, outcome.error)
            self.unfinished.add(task.id)
        before = len(self.failures)
        self.absorb(result)
        self.timeline.add(result.frames, result.decoded_bytes)
        self.progress.advance(frames=result.frames, bytes=result.decoded_bytes, failures=len(self.failures) - before)

    def absorb(self, result: TaskResult) -> None:
        """Take in a task's result, of this run or of an earlier one; each task once."""
        self.done.add(result.task)
        for instance in result.outcomes:
            self._note(instance)
        self.seconds.update(result.seconds)
        for uid, seconds in result.syntax_seconds.items():
            self.syntax_seconds[uid].update(seconds)
        for region in result.regions:
            self.image_bytes[region.image] += region.stored_bytes
            self._valid[region.image] += region.valid.count(1)
            if region.image not in self.complete:
                self._regions[region.image].append(region)
        for piece in self.plan.tasks[result.task].regions:
            self._region_done(piece.image)

    def _note(self, outcome: InstanceOutcome) -> None:
        """Join what several tasks say of one instance; of several failures the one at the lowest frame counts."""
        i = outcome.instance
        if outcome.failure and outcome.failure.salvaged:
            self._salvageable.add(i)
        if outcome.failure and _before(outcome.failure, self.failures.get(i)):
            self.failures[i] = outcome.failure
        for known, new in ((self.decoders, outcome.decoder), (self.photometric, outcome.photometric_interpretation)):
            if new:
                known[i] = "+".join(sorted({*known.get(i, new).split("+"), *new.split("+")}))

    def _region_done(self, image: int) -> None:
        self._open[image] -= 1
        if self._open[image]:
            return
        self._note_salvaged(image)
        if image in self.complete:
            return
        del self._open[image]
        spec = self.plan.images[image]
        checksums, valid = frame_results(spec, self._regions.pop(image, ()))
        instances = instances_of(self.plan, spec)
        failed = frozenset(i for i in instances if i in self.failures and i not in self.salvaged)
        if len(failed) == len(instances):
            self._ready.append(Discard(image, home(self.job.out, spec), spec.path))
            return
        self._ready.append(
            FinaliseInput(
                image=image,
                spec=spec,
                instances=instances,
                checksums=checksums,
                valid=valid,
                failed=failed,
                photometric={i: self.photometric.get(i, "") for i in instances},
                out=self.job.out,
                codec=self.job.codec,
                provenance=self.provenance,
            )
        )

    def _note_salvaged(self, image: int) -> None:
        """Note how many frames are missing of a damaged instance; one of several frames is an image of its own."""
        spec = self.plan.images[image]
        owners = {placement.instance for placement in spec.placements}
        missing = spec.frames - self._valid[image]
        if len(owners) == 1 and owners <= self._salvageable and 0 < missing < spec.frames:
            self.salvaged |= dict.fromkeys(owners, missing)

    def _image_done(self, outcome: Outcome, ledger: Ledger) -> None:
        self.progress.advance(images=1)
        if isinstance(outcome.item, Discard):
            return
        if outcome.error is None:
            self.complete.add(outcome.item.image)
            ledger.append_image(outcome.item.image, outcome.result)
            return
        message = f"{outcome.item.spec.path}: the image could not be completed: {outcome.error}"
        for instance in outcome.item.instances:
            self.failures.setdefault(instance, Failure("finalise_failed", message))
            self.salvaged.pop(instance, None)
        self.progress.message(message)


def _ending(step: Step, error: Exception, out: str) -> PipelineError | None:
    """Return the error that ends the run where a step failed for no file's fault, but the output's or the machine's.

    What an image holds may be such that it can't be completed: that takes no other image with it. Then the error names no
    place that can't be written.
    """
    if short := exhausted(error):
        return short
    if isinstance(error, OutputError):
        its_own = isinstance(step, FinaliseInput) and not error.source and error.reason != "in_use"
        return None if its_own else error
    if isinstance(error, OSError) and error.errno and not isinstance(error, PipelineError):
        return unwritable(error.filename if isinstance(error.filename, str) else out, error)
    return None


def _before(new: Failure, known: Failure | None) -> bool:
    return known is None or (new.frame is not None and (known.frame is None or new.frame < known.frame))


def result_of_lost_task(task: TaskInput, error: Exception) -> TaskResult:
    """Return what stands for the result of a task that ended with an error: all instances it touched failed."""
    reason = "write_failed" if isinstance(error, OSError) else "worker_lost"
    message = f"The task that converted this file ended with {foreign_text(error)}"
    instances = sorted({i for region in task.regions for i in region.instances})
    return TaskResult(
        task=task.id,
        regions=(),
        outcomes=tuple(InstanceOutcome(i, failure=Failure(reason, message)) for i in instances),
    )
