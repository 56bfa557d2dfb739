"""An output directory: its images, and what became of the files."""

from __future__ import annotations

from pathlib import Path

from rich.markup import escape

import pipeline
from pipeline.catalog import count_reasons
from pipeline.cli.screen import Screen
from pipeline.cli.tables import add, grid, reasons_table
from pipeline.report.units import counted, number, shape

SOME_IMAGES = 40


def is_output(place: Path) -> bool:
    """Whether `place` is what a run leaves."""
    return (place / "images.zarr").is_dir() or (place / "catalog.parquet").is_file()


def inspect_output(screen: Screen, out: Path) -> int:
    """Print the images and the outcome by reason; returns 1 where files failed or the run hasn't finished, else 0."""
    images = pipeline.open(out, unfinished=True).images
    finished = (out / "catalog.parquet").is_file()
    counts = count_reasons(str(out)) if finished else {}
    table = grid(("Image", "Modality", "Series description", "Status"), ("Shape", "Type", "Chunk", "Shard"))
    for row in images if screen.verbose else images[:SOME_IMAGES]:
        sizes = (shape(row.shape), row.dtype, shape(row.chunks), shape(row.shards))
        add(table, row.path, row.modality, row.series_description, row.status, *sizes)
    screen.show("", table)
    if len(images) > SOME_IMAGES and not screen.verbose:
        screen.show(f"… and {counted(len(images) - SOME_IMAGES, 'more image')} (-v shows all)")
    screen.show("", reasons_table(counts) if finished else "[red]The run that writes here has not finished.[/]", "")
    screen.show(f"dcm2zarr verify {escape(str(out))} checks every byte of it.", "")
    failed = sum(count for (status, _), count in counts.items() if status == "failed")
    code = int(failed > 0 or not finished)
    told = f"{number(failed)} of {counted(sum(counts.values()), 'file')} failed" if failed else "nothing failed"
    told = told if finished else "there is no catalog yet"
    screen.final(escape(f"{counted(len(images), 'complete image')} in {out}. Exit code {code}: {told}."))
    return code
