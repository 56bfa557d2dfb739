"""The output of ``dcm2zarr inspect``: a file, a folder or an output directory."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.console import RenderableType
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table

from pipeline.access import ImageRow
from pipeline.cli.screen import Screen, plain
from pipeline.cli.terminal_progress import show_progress
from pipeline.cli.terminal_tables import add, grid, images_table, reasons_table
from pipeline.inspection import FileInspection, FileKind, FolderInspection, OutputInspection
from pipeline.inspection import inspect as look_at
from pipeline.units import compact_shape, counted, number

SOME_IMAGES, SOME_KINDS, SOME_FILES = 40, 40, 10
_TITLES = {"Not stored": "yellow"}


def inspect(screen: Screen, path: str) -> int:
    """Describe `path`, and return the exit code: 1 if something in it failed or would fail."""
    with show_progress(screen) as progress:
        found = look_at(path, progress=progress)
    if isinstance(found, FileInspection):
        _show_file(screen, found)
    elif isinstance(found, FolderInspection):
        _show_folder(screen, found)
    else:
        _show_output(screen, found)
    return found.exit_code


def _show_file(screen: Screen, found: FileInspection) -> None:
    for title, facts in found.facts.items():
        screen.show("", f"[{_TITLES.get(title, 'bold')}]{title}[/]", _facts(facts))
    if found.reason:
        screen.show("", *_trouble(found))
    screen.show("")
    screen.final(f"{found.path}. Exit code {found.exit_code}: {found.verdict}.")


def _trouble(found: FileInspection) -> Iterable[str]:
    if not found.is_image:
        return [escape(found.message)]
    return [f"[red]{escape(found.reason)}[/]: {escape(found.message)}", escape(found.advice)]


def _facts(facts: Iterable[tuple[str, str]]) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in facts:
        table.add_row(f"  {name}", plain(value))
    return table


def _show_folder(screen: Screen, found: FolderInspection) -> None:
    if found.kinds:
        screen.show("", _kinds_table(found.kinds, None if screen.verbose else SOME_KINDS))
    if found.counts:
        screen.show("", reasons_table(found.counts))
    screen.show("", found.total, *_unstored(found.unstored, None if screen.verbose else SOME_FILES), "")
    verdict = f"{number(found.failed)} would fail" if found.failed else "their headers and lengths have no errors"
    screen.final(f"{counted(found.files, 'file')} in {found.path}. Exit code {found.exit_code}: {verdict}.")


def _unstored(files: Sequence[tuple[str, str]], limit: int | None) -> Iterable[RenderableType]:
    """Yield the files that hold more than a conversion would store."""
    if not files:
        return
    yield ""
    yield f"[yellow]Of {counted(len(files), 'file')} not everything would be stored:[/]"
    for source, message in files[:limit]:
        yield Padding(plain(f"{source}: {message}", overflow="fold"), (0, 0, 0, 2))
    if limit is not None and len(files) > limit:
        yield f"  … {len(files) - limit} more (-v shows all)"


def _kinds_table(kinds: Sequence[FileKind], limit: int | None) -> Table:
    """Return a table with a row for each modality, transfer syntax and pixel format, the most frequent first."""
    table = grid(
        ("Modality", "Transfer syntax", "Frame", "Type", "Colour"), ("Series", "Files", "Frames", "Encoded", "Decoded")
    )
    for kind in kinds[:limit]:
        add(table, *kind.cells)
    if limit is not None and len(kinds) > limit:
        add(table, f"… {len(kinds) - limit} more (-v shows all)")
    return table


def _show_output(screen: Screen, found: OutputInspection) -> None:
    images, finished = found.images, found.finished
    shown = images if screen.verbose else images[:SOME_IMAGES]
    screen.show("", images_table(map(_image, shown), None if screen.verbose else screen.width))
    if len(images) > SOME_IMAGES and not screen.verbose:
        screen.show(f"… and {counted(len(images) - SOME_IMAGES, 'more image')} (-v shows all)")
    unfinished = "[red]The run that writes here has not finished.[/]"
    screen.show("", reasons_table(found.counts) if finished else unfinished, "")
    screen.show(f"dcm2zarr verify {escape(found.path)} checks every byte of the result.", "")
    files = counted(sum(found.counts.values()), "file")
    told = f"{number(found.failed)} of {files} failed" if found.failed else "nothing failed"
    told = told if finished else "the run hasn't written its catalog yet"
    screen.final(f"{counted(len(images), 'complete image')} in {found.path}. Exit code {found.exit_code}: {told}.")


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
