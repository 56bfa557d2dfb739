"""What should be there, by plan and ledger."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from pipeline.model import ImageSpec, Placement, Plan, Region, RegionResult
from pipeline.output import Finished
from pipeline.plan import cut_placements
from pipeline.runs import Prepared
from pipeline.tasks import FinaliseInput, frame_results, instances_of, partly_stored


@dataclass(slots=True)
class ExpectedResult:
    """The plan, and what the ledger says became of it."""

    out: str
    plan: Plan
    finished: Finished
    prepared: Prepared | None = None
    """What the plan is a part of."""
    failed: set[int] = field(default_factory=set)
    """Instances that failed, by position."""
    salvageable: set[int] = field(default_factory=set)
    """Those of them whose other frames count."""
    decoders: dict[int, str] = field(default_factory=dict)
    photometric: dict[int, str] = field(default_factory=dict)
    regions: dict[int, list[RegionResult]] = field(default_factory=dict)
    """By image, in the order of their positions."""
    replaced: set[int] = field(default_factory=set)
    """Instances, by position, whose files are others now: no row of the catalog is about them."""
    standing: frozenset[str] = frozenset()
    """Paths of images that stand there until those that are being made aside take their places."""

    @classmethod
    def read(cls, out: str, prepared: Prepared, finished: Finished) -> ExpectedResult:
        """Put together what the ledger's results say of instances and images."""
        plan = prepared.plan
        expected = cls(out, plan, finished, prepared)
        expected.standing = frozenset(image.path for image in prepared.standing.images)
        expected.replaced = prepared.replaced_instances()
        regions: defaultdict[int, list[RegionResult]] = defaultdict(list)
        for task in plan.tasks:
            result = finished.results.get(task.id)
            for region in result.regions if result else ():
                regions[region.image].append(region)
            for outcome in result.outcomes if result else ():
                if outcome.failure:
                    expected.failed.add(outcome.instance)
                    expected.salvageable |= {outcome.instance} if outcome.failure.salvaged else set()
                _join(expected.decoders, outcome.instance, outcome.decoder)
                _join(expected.photometric, outcome.instance, outcome.photometric_interpretation)
            if result is None:
                expected.failed |= {
                    placement.instance for region in task.regions for placement in _touched(plan, region)
                }
        expected.regions = {image: sorted(found, key=_start) for image, found in regions.items()}
        return expected

    @property
    def copies(self) -> frozenset[str]:
        """Files that the plan left out because they are others' copies."""
        return frozenset(copy.source for copy in (self.prepared.copies if self.prepared else ()))

    def is_complete(self, image: int) -> bool:
        """Whether the image was finalised, and is where it belongs."""
        return image in self.finished.images and self.plan.images[image].path not in self.standing

    def by_source(self) -> dict[str, int]:
        """Return the position of the instance of each file, as the file was when it was scanned last."""
        return {one.source: i for i, one in enumerate(self.plan.instances) if i not in self.replaced}

    def held_before(self) -> set[str]:
        """Return the files that have changed while a complete image keeps what they held before."""
        kept = self.replaced - self.failed
        images = (spec for image, spec in enumerate(self.plan.images) if kept and self.is_complete(image))
        found = (placement.instance for spec in images for placement in spec.placements if placement.instance in kept)
        return {self.plan.instances[i].source for i in found}

    def is_empty(self, image: int) -> bool:
        """Whether nothing of the image could be stored, so that nothing of it should be there."""
        placements = self.plan.images[image].placements
        return not self.is_complete(image) and all(placement.instance in self.failed for placement in placements)

    def finalising(self, image: int) -> FinaliseInput:
        """Return what the image's finalise task was given."""
        spec = self.plan.images[image]
        owners = {placement.instance for placement in spec.placements}
        checksums, valid = frame_results(spec, self.regions.get(image, ()))
        failed = owners & self.failed
        if keep := failed & self.salvageable:
            failed -= keep & partly_stored(spec, valid).keys()
        return FinaliseInput(
            image=image,
            spec=spec,
            instances=instances_of(self.plan, spec),
            checksums=checksums,
            valid=valid,
            failed=frozenset(failed),
            photometric={i: self.photometric.get(i, "") for i in owners},
            out=self.out,
            codec={},
            provenance={},
        )

    def shards(self, image: int) -> Iterator[RegionResult]:
        """Yield what was stored of the image, shard by shard."""
        yield from self.regions.get(image, ())

    def owners(self, image: int, frames: range | None) -> set[int]:
        """Return the instances, by position in the plan, that own any of the image's frames at these positions (None for all)."""
        placements = self.plan.images[image].placements
        if frames is None:
            return {placement.instance for placement in placements}
        return {
            placement.instance
            for placement in placements
            if placement.position < frames.stop and frames.start < placement.positions.stop
        }


def without_placements(spec: ImageSpec) -> ImageSpec:
    """Return the layout alone, for tasks that need nothing else."""
    return replace(
        spec, study_instance_uid="", series_instance_uid="", modality="", order="", placements=(), aside=False
    )


def _touched(plan: Plan, region: Region) -> tuple[Placement, ...]:
    """Return the placements whose frames the region holds."""
    return cut_placements(plan.images[region.image].placements, region.positions)


def _join(known: dict[int, str], instance: int, new: str) -> None:
    if new:
        known[instance] = "+".join(sorted({*known.get(instance, new).split("+"), *new.split("+")}))


def _start(region: RegionResult) -> int:
    return region.start
