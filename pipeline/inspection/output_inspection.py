"""An output directory: its images, and the outcome of its files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from pipeline.access import ImageTable
from pipeline.access import open as open_result
from pipeline.catalog import count_reasons
from pipeline.inspection.file_counts import failed_files, reasons_text
from pipeline.storage import OutputDir
from pipeline.text_tables import Shown, Table
from pipeline.units import counted


@dataclass(frozen=True, slots=True, repr=False)
class OutputInspection(Shown):
    """What an output directory holds."""

    path: str
    images: ImageTable
    """The complete images."""
    finished: bool
    """Whether the run that writes there has ended: until then the catalog is missing."""
    counts: Mapping[tuple[str, str], int]
    """``(status, reason)`` → number of files, by the catalog."""

    @property
    def failed(self) -> int:
        """Files that failed."""
        return failed_files(self.counts)

    @property
    def exit_code(self) -> int:
        """1 if files failed or the run hasn't finished, else 0."""
        return int(self.failed > 0 or not self.finished)

    def parts(self) -> Iterator[Table | str]:
        """Yield images and outcomes."""
        yield f"{self.path}: {counted(len(self.images), 'complete image')}"
        yield from self.images.parts()
        yield from reasons_text(self.counts)
        if not self.finished:
            yield "The run that writes here has not finished."


def is_output(out: OutputDir) -> bool:
    """Whether a folder or a prefix is the output directory of a run."""
    return bool(out.images().children()) or out.catalog.exists()


def inspect_output(out: OutputDir) -> OutputInspection:
    """List the complete images of an output directory, and count its files by outcome."""
    finished = out.catalog.exists()
    images = open_result(out, unfinished=True).images
    return OutputInspection(str(out), images, finished, count_reasons(out) if finished else {})
