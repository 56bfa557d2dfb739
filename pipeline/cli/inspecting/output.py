"""Show an output directory: its images, and the outcome of each file."""

from __future__ import annotations

from rich.markup import escape

import pipeline
from pipeline.access import ImageRow
from pipeline.catalog import count_reasons
from pipeline.cli.screen import Screen
from pipeline.cli.terminal_tables import images_table, reasons_table
from pipeline.storage import OutputDir
from pipeline.units import compact_shape, counted, number

SOME_IMAGES = 40


def is_output(out: OutputDir) -> bool:
    """Whether a folder or a prefix is the output directory of a run."""
    return bool(out.images().children()) or out.catalog.exists()


def inspect_output(screen: Screen, out: OutputDir) -> int:
    """Print the images and the files by reason, and return the exit code: 1 if files failed or the run hasn't finished."""
    images = pipeline.open(out, unfinished=True).images
    finished = out.catalog.exists()
    counts = count_reasons(out) if finished else {}
    shown = images if screen.verbose else images[:SOME_IMAGES]
    screen.show("", images_table(map(_image, shown), None if screen.verbose else screen.width))
    if len(images) > SOME_IMAGES and not screen.verbose:
        screen.show(f"… and {counted(len(images) - SOME_IMAGES, 'more image')} (-v shows all)")
    screen.show("", reasons_table(counts) if finished else "[red]The run that writes here has not finished.[/]", "")
    screen.show(f"dcm2zarr verify {escape(str(out))} checks every byte of the result.", "")
    failed = sum(count for (status, _), count in counts.items() if status == "failed")
    code = int(failed > 0 or not finished)
    verdict = f"{number(failed)} of {counted(sum(counts.values()), 'file')} failed" if failed else "nothing failed"
    verdict = verdict if finished else "there is no catalog yet"
    screen.final(f"{counted(len(images), 'complete image')} in {out}. Exit code {code}: {verdict}.")
    return code


def _image(row: ImageRow) -> dict[str, str]:
    return {
        "Image": row.path,
        "Modality": row.modality,
        "Series description": row.series_description,
        "Status": row.status,
        "Shape": compact_shape(row.shape),
        "Type": row.dtype,
        "Chunk": compact_shape(row.chunks),
        "Shard": compact_shape(row.shards),
    }
