"""The output of ``dcm2zarr plan``: the images that a conversion would make, and its cost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from rich.markup import escape

from pipeline.cli.screen import Screen
from pipeline.cli.terminal_tables import images_table, reasons_table
from pipeline.config import RunConfig
from pipeline.model import ImageSpec, Plan
from pipeline.output import too_small
from pipeline.runs import Prepared, make_remarks
from pipeline.storage import OutputDir
from pipeline.units import compact_shape, counted, number, size

SOME_IMAGES = 40
SOME_REFUSED = 10
_ORDERS = {"frame_number": "frame", "instance_number": "number", "sop_instance_uid": "UID"}
"""Order of an image's frames → one word for it."""


def show_plan(screen: Screen, config: RunConfig, prepared: Prepared) -> int:
    """Print a plan, and return the exit code: 1 if files would fail, else 0."""
    plan = prepared.plan
    failed = sum(count for (status, _), count in count_outcomes(prepared).items() if status == "failed")
    if plan.images:
        limit, width = (None, None) if screen.verbose else (SOME_IMAGES, screen.width)
        screen.show("", images_table(map(_image, plan.images[:limit]), width))
        more = len(plan.images) - SOME_IMAGES
        if more > 0 and not screen.verbose:
            screen.show(f"… and {counted(more, 'more image')} (-v shows all)")
    screen.show("", reasons_table(count_outcomes(prepared)), "", *_cost(config, plan), *_refused(screen, plan))
    screen.show(*map(escape, make_remarks(prepared)), "")
    code = int(failed > 0 or bool(prepared.unopened))
    verdict = f"{number(failed)} would fail" if failed else _unopened(prepared) or "nothing would fail"
    screen.final(
        f"{counted(len(plan.images), 'image')} of {counted(_frames(plan), 'frame')} in "
        f"{counted(len(plan.tasks), 'task')} → {config.output.path}; nothing was written. "
        f"Exit code {code}: {verdict}."
    )
    return code


def _unopened(prepared: Prepared) -> str:
    count = len(prepared.unopened)
    return f"{counted(count, 'source')} could not be looked into: nothing but archives and empty files" if count else ""


def _image(image: ImageSpec) -> dict[str, str]:
    return {
        "Image": image.path,
        "Modality": image.modality,
        "Order": _ORDERS.get(image.order, image.order),
        "Files": number(len({placement.instance for placement in image.placements})),
        "Shape": compact_shape(image.shape),
        "Type": image.format.dtype,
        "Chunk": compact_shape(image.chunks),
        "Shard": compact_shape(image.shards),
        "Decoded": size(image.frames * image.format.frame_bytes),
    }


def count_outcomes(prepared: Prepared) -> Counter[tuple[str, str]]:
    """Count the files that would get each status and reason."""
    plan = prepared.plan
    counts = Counter(prepared.counts)
    counts.update(("failed", failure.reason) for _, failure in plan.refused)
    counts["skipped", "duplicate"] += len(prepared.copies)
    counts["skipped", "no_frames_selected"] += len(plan.unselected)
    stored = len(plan.instances) - len(plan.refused) - len(plan.unselected)
    return +(counts + Counter({("to convert", ""): stored}))


def _cost(config: RunConfig, plan: Plan) -> Iterable[str]:
    read = sum(task.encoded_bytes for task in plan.tasks)
    stored = sum(task.stored_bytes for task in plan.tasks)
    most = max((task.memory_bytes for task in plan.tasks), default=0)
    yield (
        f"{counted(len(plan.tasks), 'task')}: {size(read)} to read, {size(stored)} to store before compression, in "
        f"{counted(_shards(plan), 'shard')}"
    )
    yield f"Memory of the largest task: {size(most)} of {size(config.limits.task_memory)} allowed"
    if warning := too_small(OutputDir(config.output.path), stored):
        yield f"[yellow]{escape(warning)}[/]"


def _shards(plan: Plan) -> int:
    return sum(image.grid.shards for image in plan.images)


def _frames(plan: Plan) -> int:
    return sum(image.frames for image in plan.images)


def _refused(screen: Screen, plan: Plan) -> Iterable[str]:
    shown = plan.refused if screen.verbose else plan.refused[:SOME_REFUSED]
    for position, failure in shown:
        yield f"[red]would fail:[/] {escape(plan.instances[position].source)}: {escape(failure.message)}"
