"""The convert phase: tasks of the plan and, as soon as an image's last shard is in, its finalise task."""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from pipeline.engine.convert_task import Job, convert
from pipeline.engine.executors import Executor, Outcome
from pipeline.engine.finalise import FinaliseInput, finalise
from pipeline.engine.progress import Progress
from pipeline.engine.timeline import Timeline
from pipeline.ledger import Ledger
from pipeline.model import Failure, InstanceOutcome, Plan, RegionResult, TaskInput, TaskResult
from pipeline.plan import task_inputs
from pipeline.store import remove_image


@dataclass(frozen=True, slots=True)
class Discard:
    """An image of which nothing could be stored."""

    image: int
    path: str


Step = TaskInput | FinaliseInput | Discard


def execute(step: Step, job: Job) -> TaskResult | str | None:
    """Run one step; this is what travels to the workers."""
    if isinstance(step, TaskInput):
        return convert(step, job)
    if isinstance(step, FinaliseInput):
        return finalise(step)
    remove_image(job.out, step.path)
    return None


@dataclass(slots=True)
class Conversion:
    """What is known of a running conversion: a few words for each instance, and the results of unfinished images."""

    plan: Plan
    job: Job
    provenance: Mapping[str, Any]
    progress: Progress
    ledger: Ledger
    decoders: dict[int, str] = field(default_factory=dict)
    photometric: dict[int, str] = field(default_factory=dict)
    failures: dict[int, Failure] = field(default_factory=dict)
    complete: set[int] = field(default_factory=set)
    """Images, by position."""
    image_bytes: Counter[int] = field(default_factory=Counter)
    """By image, bytes written, compressed."""
    seconds: Counter[str] = field(default_factory=Counter)
    syntax_seconds: defaultdict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    timeline: Timeline = field(default_factory=Timeline)
    _regions: defaultdict[int, list[RegionResult]] = field(default_factory=lambda: defaultdict(list))
    _open: Counter[int] = field(default_factory=Counter)
    _ready: deque[FinaliseInput | Discard] = field(default_factory=deque)

    def run(self, executor: Executor) -> None:
        """Run every task and finalise every image."""
        self._open.update(region.image for task in self.plan.tasks for region in task.regions)
        for outcome in executor.map(partial(execute, job=self.job), self._steps(), name="convert"):
            if isinstance(outcome.item, TaskInput):
                self._task_done(outcome)
            else:
                self._image_done(outcome)

    def _steps(self) -> Iterator[Step | None]:
        for task in task_inputs(self.plan):
            while self._ready:
                yield self._ready.popleft()
            yield task
        while self._open or self._ready:
            yield self._ready.popleft() if self._ready else None

    def _task_done(self, outcome: Outcome) -> None:
        task: TaskInput = outcome.item
        if outcome.error is None:
            result: TaskResult = outcome.result
            self.ledger.append(result)
        else:
            result = lost(task, outcome.error)
        before = len(self.failures)
        for instance in result.outcomes:
            self._note(instance)
        self.seconds.update(result.seconds)
        for uid, seconds in result.syntax_seconds.items():
            self.syntax_seconds[uid].update(seconds)
        self.timeline.add(result.frames, result.decoded_bytes)
        self.progress.advance(frames=result.frames, bytes=result.decoded_bytes, failures=len(self.failures) - before)
        for region in result.regions:
            self._regions[region.image].append(region)
            self.image_bytes[region.image] += region.stored_bytes
        for piece in task.regions:
            self._region_done(piece.region.image)

    def _note(self, outcome: InstanceOutcome) -> None:
        """Join what several tasks say of one instance; of several failures the one at the lowest frame counts."""
        i = outcome.instance
        if outcome.failure and _before(outcome.failure, self.failures.get(i)):
            self.failures[i] = outcome.failure
        for known, new in ((self.decoders, outcome.decoder), (self.photometric, outcome.photometric_interpretation)):
            if new:
                known[i] = "+".join(sorted({*known.get(i, new).split("+"), *new.split("+")}))

    def _region_done(self, image: int) -> None:
        self._open[image] -= 1
        if self._open[image]:
            return
        del self._open[image]
        spec = self.plan.images[image]
        regions = tuple(sorted(self._regions.pop(image, ()), key=lambda region: region.frame_start))
        instances = {span.instance: self.plan.instances[span.instance] for span in spec.spans}
        failed = frozenset(i for i in instances if i in self.failures)
        if len(failed) == len(instances):
            self._ready.append(Discard(image, spec.path))
            return
        self._ready.append(
            FinaliseInput(
                image=image,
                spec=spec,
                instances=instances,
                regions=regions,
                failed=failed,
                photometric={i: self.photometric.get(i, "") for i in instances},
                out=self.job.out,
                codec=self.job.codec,
                provenance=self.provenance,
            )
        )

    def _image_done(self, outcome: Outcome) -> None:
        self.progress.advance(images=1)
        if isinstance(outcome.item, Discard):
            return
        if outcome.error is None:
            self.complete.add(outcome.item.image)
            self.ledger.append_image(outcome.item.image, outcome.result)
            return
        message = f"{outcome.item.spec.path}: the image could not be completed: {outcome.error}"
        for instance in outcome.item.instances:
            self.failures.setdefault(instance, Failure("finalise_failed", message))
        self.progress.message(message)


def _before(new: Failure, known: Failure | None) -> bool:
    return known is None or (new.frame is not None and (known.frame is None or new.frame < known.frame))


def lost(task: TaskInput, error: Exception) -> TaskResult:
    """Return what stands for the result of a task that ended with an error: all instances it touched failed."""
    reason = "write_failed" if isinstance(error, OSError) else "worker_lost"
    message = f"The task that converted this file ended with {type(error).__name__}: {error}"
    instances = sorted({i for region in task.regions for i in region.instances})
    return TaskResult(
        task=task.id,
        regions=(),
        outcomes=tuple(InstanceOutcome(i, failure=Failure(reason, message)) for i in instances),
    )
