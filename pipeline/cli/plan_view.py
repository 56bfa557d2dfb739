"""The output of ``dcm2zarr plan``: the images that a conversion would make, and its cost."""

from __future__ import annotations

from collections.abc import Iterable

from rich.markup import escape

from pipeline.cli.screen import Screen
from pipeline.cli.terminal_tables import images_table, reasons_table
from pipeline.inspection import PlannedConversion
from pipeline.units import counted

SOME_IMAGES = 40
SOME_REFUSED = 10


def show_plan(screen: Screen, planned: PlannedConversion) -> int:
    """Print a plan, and return the exit code: 1 if files would fail, else 0."""
    images = planned.images
    if images:
        limit, width = (None, None) if screen.verbose else (SOME_IMAGES, screen.width)
        screen.show("", images_table((image.cells for image in images[:limit]), width))
        more = len(images) - SOME_IMAGES
        if more > 0 and not screen.verbose:
            screen.show(f"… and {counted(more, 'more image')} (-v shows all)")
    screen.show("", reasons_table(planned.counts), "", *planned.cost, *_trouble(screen, planned))
    screen.show(*map(escape, planned.remarks), "")
    screen.final(f"{planned.total} Exit code {planned.exit_code}: {planned.verdict}.")
    return planned.exit_code


def _trouble(screen: Screen, planned: PlannedConversion) -> Iterable[str]:
    if planned.warning:
        yield f"[yellow]{escape(planned.warning)}[/]"
    for file in planned.refused if screen.verbose else planned.refused[:SOME_REFUSED]:
        yield f"[red]would fail:[/] {escape(file.source)}: {escape(file.message)}"
