"""What travels to a worker: a task's regions, with the spans and instances that they need and nothing else."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import replace

from pipeline.model import Plan, Region, RegionInput, Span, Task, TaskInput


def task_inputs(plan: Plan) -> Iterator[TaskInput]:
    """Yield each task's input, one at a time, in the order of the tasks."""
    for task in plan.tasks:
        yield task_input(plan, task)


def task_input(plan: Plan, task: Task) -> TaskInput:
    """Return all that `task` needs, cut out of `plan`."""
    return TaskInput(task.id, tuple(_region_input(plan, region) for region in task.regions))


def cut_spans(spans: Sequence[Span], frame_start: int, frame_stop: int) -> tuple[Span, ...]:
    """Return the parts of an image's `spans` that lie in its frames ``[frame_start, frame_stop)``.

    `spans` are in the order of the image's frames; the first one touched is found by bisection.
    """
    position = max(0, bisect_right(spans, frame_start, key=_frame_start) - 1)
    cut = []
    while position < len(spans) and (span := spans[position]).frame_start < frame_stop:
        part = _cut(span, frame_start, frame_stop)
        if part is not None:
            cut.append(part)
        position += 1
    return tuple(cut)


def _region_input(plan: Plan, region: Region) -> RegionInput:
    spec = plan.images[region.image]
    spans = cut_spans(spec.spans, region.frame_start, region.frame_stop)
    instances = {span.instance: plan.instances[span.instance] for span in spans}
    return RegionInput(region, replace(spec, spans=spans), instances)


def _cut(span: Span, frame_start: int, frame_stop: int) -> Span | None:
    """Return the part of a span that lies in the frames, None where none does."""
    length = len(span)
    if frame_start <= span.frame_start and span.frame_start + length <= frame_stop:
        return span
    skipped = max(0, frame_start - span.frame_start)
    count = min(length, frame_stop - span.frame_start)
    if skipped >= count:
        return None
    frames = range(span.start, span.stop, span.step)[skipped:count]
    return Span(span.instance, frames.start, frames.stop, frames.step, span.frame_start + skipped)


def _frame_start(span: Span) -> int:
    return span.frame_start
