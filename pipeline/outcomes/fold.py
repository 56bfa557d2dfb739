"""The fold: task results, in any order and each once, become the outcome of every instance and every image.

A conversion folds results as they arrive, a resumed run folds those in the ledger, and `verify` and `status` use the same
fold, so all of them give the same answer.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

from pipeline.model import Failure, InstanceOutcome, Placement, Plan, Region, RegionResult, Task, TaskResult
from pipeline.plan import cut_placements


@dataclass(slots=True)
class Work:
    """Sums over tasks."""

    tasks: int = 0
    shards: int = 0
    frames: int = 0
    encoded_bytes: int = 0
    """Bytes read of pixel data."""
    decoded_bytes: int = 0
    """Bytes of the decoded frames."""
    stored_bytes: int = 0
    """Bytes of the shards, compressed."""

    def add(self, result: TaskResult) -> None:
        """Count a task."""
        self.tasks += 1
        self.shards += len(result.regions)
        self.frames += result.frames
        self.encoded_bytes += result.encoded_bytes
        self.decoded_bytes += result.decoded_bytes
        self.stored_bytes += sum(region.stored_bytes for region in result.regions)


@dataclass(slots=True)
class Outcomes:
    """The outcomes so far of a plan's instances and images: a few words per instance, and the results of unfinished images.

    Instances and images are named by their positions in the plan.
    """

    plan: Plan
    keep_frames: bool = False
    """Whether results of single frames are kept until :meth:`take_regions` even for complete images."""
    done: set[int] = field(default_factory=set)
    """Tasks that have ended, by number."""
    lost: set[int] = field(default_factory=set)
    """Those of `done` that brought no result; another run does them again."""
    failures: dict[int, Failure] = field(default_factory=dict)
    """Instances that failed; of several failures of one instance, the one at the lowest frame."""
    salvaged: dict[int, int] = field(default_factory=dict)
    """Number of missing frames of each failed instance whose other frames are stored and count."""
    decoders: dict[int, str] = field(default_factory=dict)
    """Decoders of an instance; several are joined with ``+``."""
    photometric: dict[int, str] = field(default_factory=dict)
    """Photometric Interpretation of an instance's stored pixels."""
    complete: set[int] = field(default_factory=set)
    """Images that are finalised."""
    image_bytes: Counter[int] = field(default_factory=Counter)
    """Compressed bytes of each image's shards."""
    seconds: Counter[str] = field(default_factory=Counter)
    """Seconds by stage, see :attr:`pipeline.model.TaskResult.seconds`."""
    syntax_seconds: defaultdict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    """The same by Transfer Syntax UID."""
    work: Work = field(default_factory=Work)
    """Sums over all tasks that brought a result."""
    _open: Counter[int] = field(default_factory=Counter)
    """Number of each image's regions in tasks that haven't ended."""
    _regions: defaultdict[int, list[RegionResult]] = field(default_factory=lambda: defaultdict(list))
    _salvageable: set[int] = field(default_factory=set)
    """Instances that failed, but whose other frames count."""
    _valid: Counter[int] = field(default_factory=Counter)
    """Number of stored frames of each instance that gives several frames to an image."""
    _frames: Counter[int] = field(default_factory=Counter)
    """Number of all frames of these instances."""

    def __post_init__(self) -> None:
        self._open.update(region.image for task in self.plan.tasks for region in task.regions)
        for image in self.plan.images:
            if len(image.members) < image.frames:
                for placement in image.placements:
                    self._frames[placement.instance] += len(placement)

    @property
    def remaining(self) -> list[Task]:
        """The tasks still to be done, in the plan's order."""
        return [task for task in self.plan.tasks if task.id not in self.done]

    def add(self, result: TaskResult) -> list[int]:
        """Take in a task's result; each task once. Return the images whose last task it was."""
        self.work.add(result)
        return self._fold(result)

    def _fold(self, result: TaskResult) -> list[int]:
        self.done.add(result.task)
        for instance in result.outcomes:
            self._add_instance(instance)
        self.seconds.update(result.seconds)
        for uid, seconds in result.syntax_seconds.items():
            self.syntax_seconds[uid].update(seconds)
        for region in result.regions:
            self._add_region(region)
        return list(self._close(self.plan.tasks[result.task]))

    def lose(self, task: int, failure: Failure) -> list[int]:
        """Take in that a task ended without a result, so all its instances failed. Return the images whose last task it was."""
        regions = self.plan.tasks[task].regions
        touched = sorted({placement.instance for region in regions for placement in self._placements(region)})
        self.lost.add(task)
        return self._fold(TaskResult(task, (), tuple(InstanceOutcome(i, failure=failure) for i in touched)))

    def fail_image(self, image: int, failure: Failure) -> None:
        """Take in that an image couldn't be finalised, so none of its instances is stored."""
        for instance in self.members(image):
            self.failures.setdefault(instance, failure)
            self.salvaged.pop(instance, None)

    def members(self, image: int) -> dict[int, None]:
        """Return the instances that give the image its frames, each once, in the order of its frames."""
        return self.plan.images[image].members

    def without_frames(self, image: int) -> frozenset[int]:
        """Return the instances of the image that have no valid frame in it."""
        return frozenset(i for i in self.members(image) if i in self.failures and i not in self.salvaged)

    def missing_frames(self, image: int) -> int:
        """Return how many frames of a complete image aren't stored, because they couldn't be decoded."""
        absent = self.without_frames(image)
        placements = self.plan.images[image].placements if absent else ()
        salvaged = sum(self.salvaged.get(i, 0) for i in self.members(image)) if self.salvaged else 0
        return salvaged + sum(len(placement) for placement in placements if placement.instance in absent)

    def is_empty(self, image: int) -> bool:
        """Return whether nothing of the image could be stored, so the image shouldn't exist."""
        return image not in self.complete and len(self.without_frames(image)) == len(self.members(image))

    def regions(self, image: int) -> list[RegionResult]:
        """Return the kept results of the image's shards, in the order of its frames."""
        return sorted(self._regions.get(image, ()), key=lambda region: region.start)

    def take_regions(self, image: int) -> list[RegionResult]:
        """Return :meth:`regions` and drop them."""
        regions = self.regions(image)
        self._regions.pop(image, None)
        return regions

    def _add_instance(self, outcome: InstanceOutcome) -> None:
        i, failure = outcome.instance, outcome.failure
        if failure and failure.salvaged:
            self._salvageable.add(i)
        if failure and _comes_before(failure, self.failures.get(i)):
            self.failures[i] = failure
        for known, new in ((self.decoders, outcome.decoder), (self.photometric, outcome.photometric_interpretation)):
            if new:
                known[i] = "+".join(sorted({*known.get(i, new).split("+"), *new.split("+")}))

    def _add_region(self, region: RegionResult) -> None:
        image = region.image
        self.image_bytes[image] += region.stored_bytes
        for placement in self._placements(region) if self._frames else ():
            if placement.instance in self._frames:
                begin = placement.position - region.start
                self._valid[placement.instance] += region.valid.count(1, begin, begin + len(placement))
        if self.keep_frames or image not in self.complete:
            self._regions[image].append(region)

    def _placements(self, region: Region | RegionResult) -> tuple[Placement, ...]:
        """Return the placements of the region's frames."""
        return cut_placements(self.plan.images[region.image].placements, region.positions)

    def _close(self, task: Task) -> Iterator[int]:
        for region in task.regions:
            self._open[region.image] -= 1
            if not self._open[region.image]:
                del self._open[region.image]
                self._note_salvaged(region.image)
                yield region.image

    def _note_salvaged(self, image: int) -> None:
        """Count the missing frames of each damaged instance whose other frames are stored."""
        for i in self._salvageable.intersection(self.members(image)) if self._salvageable else ():
            if 0 < self._valid[i] < self._frames[i]:
                self.salvaged[i] = self._frames[i] - self._valid[i]


def _comes_before(new: Failure, known: Failure | None) -> bool:
    return known is None or (new.frame is not None and (known.frame is None or new.frame < known.frame))
