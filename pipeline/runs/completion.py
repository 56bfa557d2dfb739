"""The last stage, after all tasks: write the catalog, the table of images and the report, and seal the result."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from pipeline import catalog, report, scan
from pipeline.config import RunConfig, load
from pipeline.errors import PipelineError
from pipeline.isolation import call_fresh
from pipeline.output import Ledger, flush, ledger, sealed_files, sealed_names, still_held
from pipeline.runs.conversion import Conversion
from pipeline.runs.state import Clock, Prepared
from pipeline.runs.summary import catalog_rows, summarise
from pipeline.storage import OutputDir

LARGEST_ROWS = 3 * 2**23
"""Bytes of headers that this process reads at a time: as much as a segment's writer holds, 16 MiB, and one header more.
Another interpreter puts larger ones into the catalog."""


def complete(
    config: RunConfig, prepared: Prepared, conversion: Conversion, clock: Clock, book: Ledger
) -> report.RunSummary:
    """Write the catalog, the table of images and the report of a conversion, and record that the run has ended.

    Instances that weren't converted are ``failed`` in the catalog, reason ``not_converted``.

    Raises
    ------
    OutputError
        If a file can't be written.
    """
    out = conversion.job.out
    with clock.phase("finalise"):
        assemble = partial(
            catalog.assemble,
            out,
            prepared.segments,
            catalog_rows(prepared, conversion),
            scan.column_kinds(config),
            without=frozenset(prepared.replaced),
        )
        try:
            assemble(largest=LARGEST_ROWS)
        except catalog.LargeRowsError:
            call_fresh(assemble)
        catalog.write_image_table(out, conversion.outcomes)
        before = _was_complete(out, prepared)
        summary = summarise(out, config, clock, prepared, conversion, completed_before=before)
        report.write(out, summary)
        flush(out)
        still_held()
        book.append_files(sealed_files(out))
    return summary


def summary_if_nothing_to_do(
    config: RunConfig, prepared: Prepared, conversion: Conversion, clock: Clock
) -> report.RunSummary | None:
    """Return the summary of a run that finds everything done and every file written; None for any other run.

    Writes nothing. Sizes are compared, not contents: ``dcm2zarr verify`` compares those.
    """
    out = conversion.job.out
    if prepared.standing.images or not (
        conversion.is_finished and _is_sealed(out, prepared) and _reports_alike(out, config)
    ):
        return None
    quiet = config.model_copy(update={"report": config.report.model_copy(update={"images": 0})})
    summary = summarise(out, quiet, clock, prepared, conversion, completed_before=True)
    return replace(summary, unchanged=True)


def _was_complete(out: OutputDir, prepared: Prepared) -> bool:
    """Return whether an earlier run completed everything that is planned and scanned now."""
    paths = (out.segment(segment) for segment in prepared.segments)
    scanned = {str(path).removeprefix(f"{out}/") for path in paths}
    files = ledger.files(out, prepared.id)
    return bool(files) and scanned <= files.keys()


def _is_sealed(out: OutputDir, prepared: Prepared) -> bool:
    """Return whether the last record says that a run has ended, and the files that it left beside the images exist."""
    files = ledger.files(out, prepared.id, at_the_end=True)
    if not files or files.keys() != set(sealed_names(out)):
        return False
    # Without the scan's segments, which are many and have just been read.
    sizes = {name: size for name, (size, _) in files.items() if name.count("/") <= 1}
    return all(out.at(name).size() == size for name, size in sizes.items())


def _reports_alike(out: OutputDir, config: RunConfig) -> bool:
    """Return whether the existing report was made with these settings."""
    try:
        return load(out.run_file).report == config.report
    except PipelineError:  # an earlier version wrote it
        return False
