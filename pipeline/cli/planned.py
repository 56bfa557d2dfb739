"""What ``dcm2zarr plan`` tells: what a conversion would make of the sources, and what it would cost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from rich.markup import escape
from rich.table import Table

from pipeline.cli.screen import Screen
from pipeline.cli.tables import add, grid, reasons_table
from pipeline.config import RunConfig
from pipeline.engine.state import Prepared
from pipeline.model import ImageSpec, Plan
from pipeline.report.units import counted, number, shape, size

SOME_IMAGES = 40
SOME_REFUSED = 10


def show_plan(screen: Screen, config: RunConfig, prepared: Prepared) -> int:
    """Print a plan; returns 1 where files would fail, else 0."""
    plan = prepared.plan
    failed = sum(count for (status, _), count in outcomes(prepared).items() if status == "failed")
    if plan.images:
        screen.show("", images_table(plan, None if screen.verbose else SOME_IMAGES))
        more = len(plan.images) - SOME_IMAGES
        if more > 0 and not screen.verbose:
            screen.show(f"… and {counted(more, 'more image')} (-v shows all)")
    screen.show("", reasons_table(outcomes(prepared)), "", *_cost(config, plan), *_refused(screen, plan), "")
    code = int(failed > 0)
    screen.final(
        escape(
            f"{counted(len(plan.images), 'image')} of {counted(_frames(plan), 'frame')} in "
            f"{counted(len(plan.tasks), 'task')} → {config.output.path}; nothing was written. "
            f"Exit code {code}: {f'{number(failed)} would fail' if failed else 'nothing would fail'}."
        )
    )
    return code


def images_table(plan: Plan, limit: int | None) -> Table:
    """Return the images of a plan, one a row."""
    table = grid(("Image", "Modality", "Order"), ("Instances", "Shape", "Type", "Chunk", "Shard", "Decoded"))
    for image in plan.images[:limit]:
        add(table, *_image(image))
    return table


def _image(image: ImageSpec) -> Iterable[str]:
    yield image.path
    yield image.modality
    yield image.order.replace("_", " ")
    yield number(len({span.instance for span in image.spans}))
    yield shape(image.shape)
    yield image.format.dtype
    yield shape(image.chunks)
    yield shape(image.shards)
    yield size(image.frames * image.format.frame_bytes)


def outcomes(prepared: Prepared) -> Counter[tuple[str, str]]:
    """Return how many files would end with each status and reason."""
    plan = prepared.plan
    counts = Counter(prepared.found.counts)
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


def _shards(plan: Plan) -> int:
    return sum(-(-image.frames // image.shards[0]) for image in plan.images)


def _frames(plan: Plan) -> int:
    return sum(image.frames for image in plan.images)


def _refused(screen: Screen, plan: Plan) -> Iterable[str]:
    shown = plan.refused if screen.verbose else plan.refused[:SOME_REFUSED]
    for position, failure in shown:
        yield f"[red]would fail:[/] {escape(plan.instances[position].source)}: {escape(failure.message)}"
