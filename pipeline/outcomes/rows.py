"""The outcome of each instance as columns of its catalog row."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace

from pipeline.model import Failure, Instance, Plan, without_collections
from pipeline.outcomes.fold import Outcomes


@dataclass(frozen=True, slots=True)
class RowOutcome:
    """The outcome of one row after the scan. None keeps the scan's value."""

    status: str
    """``converted``, ``failed`` or ``skipped``."""
    reason: str | None = None
    message: str | None = None
    image: str | None = None
    frame_start: int | None = None
    num_frames: int | None = None
    """Frames stored; fewer than the instance has if frames are selected."""
    frames_missing: int | None = None
    """How many of the stored frames are placeholders, in an image whose other frames could be salvaged."""
    decoder: str | None = None
    photometric_interpretation: str | None = None
    """Of the stored pixels."""
    note: str = ""
    """Appended to the row's assumptions."""


@without_collections
def row_outcomes(outcomes: Outcomes, notes: Mapping[int, str]) -> dict[tuple[int, int], RowOutcome]:
    """Return the outcome of each instance, by its segment and row; instances that aren't done have none.

    Parameters
    ----------
    outcomes : Outcomes
    notes : mapping of int to str
        Remarks on instances, by position, for the column ``assumptions``.
    """
    plan = outcomes.plan
    rows: dict[tuple[int, int], RowOutcome] = {}
    for position in plan.unselected:
        instance = plan.instances[position]
        message = f"select.frames takes none of its {instance.number_of_frames} frame(s)"
        rows[_row_of(instance)] = RowOutcome("skipped", "no_frames_selected", message)
    for position, failure in plan.refused:
        rows[_row_of(plan.instances[position])] = _failed_outcome(failure)
    frames = stored_frames(plan)
    for number, image in enumerate(plan.images):
        for position, placements in image.placements_by_instance.items():
            failed, missing = outcomes.failures.get(position), outcomes.salvaged.get(position)
            if failed and missing is None:
                rows[_row_of(plan.instances[position])] = _failed_outcome(failed)
            elif number in outcomes.complete:
                stored = RowOutcome(
                    "converted",
                    image=image.path,
                    frame_start=image.frame_start(placements),
                    num_frames=frames[position],
                    frames_missing=0,
                    decoder=outcomes.decoders.get(position),
                    photometric_interpretation=outcomes.photometric.get(position),
                    note="; ".join(filter(None, (notes.get(position), _describe_selection(plan, position, frames)))),
                )
                rows[_row_of(plan.instances[position])] = (
                    _salvaged_outcome(stored, failed, missing or 0) if failed else stored
                )
    return rows


def stored_frames(plan: Plan) -> Counter[int]:
    """Return how many frames of each instance the plan stores."""
    counts: Counter[int] = Counter()
    for image in plan.images:
        for placement in image.placements:
            counts[placement.instance] += len(placement)
    return counts


def _describe_selection(plan: Plan, position: int, frames: Mapping[int, int]) -> str:
    """Return a remark if only some frames of an instance are selected, else an empty text."""
    count = plan.instances[position].number_of_frames
    return "" if frames[position] == count else f"select.frames takes {frames[position]} of its {count} frames"


def _salvaged_outcome(stored: RowOutcome, failure: Failure, missing: int) -> RowOutcome:
    """Return the row of a file that is stored in part: it failed, and the row says where the stored part is."""
    failed = _failed_outcome(failure)
    message = f"{failed.message}; salvaged: all but {missing} of {stored.num_frames} frame(s) are stored"
    return replace(stored, status=failed.status, reason=failed.reason, message=message, frames_missing=missing)


def _row_of(instance: Instance) -> tuple[int, int]:
    return instance.segment, instance.row


def _failed_outcome(failure: Failure) -> RowOutcome:
    at = "" if failure.frame is None else f" (frame index {failure.frame})"
    return RowOutcome("failed", failure.reason, f"{failure.message}{at}")
