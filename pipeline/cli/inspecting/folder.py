"""Show a folder of DICOM files, without decoding anything."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from tempfile import TemporaryDirectory

from rich.console import RenderableType
from rich.padding import Padding
from rich.table import Table

from pipeline.catalog import read_unstored
from pipeline.cli.screen import Screen, plain
from pipeline.cli.terminal_progress import show_progress
from pipeline.cli.terminal_tables import add, grid, reasons_table
from pipeline.config import from_dict
from pipeline.executors import start
from pipeline.frames import transfer_syntax_name
from pipeline.model import Instance
from pipeline.runs import Scan, scan_sources
from pipeline.scan import make_salt
from pipeline.storage import OutputDir
from pipeline.units import counted, number, shape, size

SOME_KINDS, SOME_FILES = 40, 10


def inspect_folder(screen: Screen, folder: str) -> int:
    """Print what the scan finds in a folder, a DICOMDIR or a list, and return the exit code: 1 if files would fail, else 0."""
    found, unstored = _scan(screen, folder)
    if found.instances:
        kinds = kinds_table(found.instances, None if screen.verbose else SOME_KINDS)
        screen.show("", kinds)
    if found.counts:
        screen.show("", reasons_table(found.counts))
    screen.show("", *_totals(found), *_unstored(unstored, None if screen.verbose else SOME_FILES), "")
    failed = sum(count for (status, _), count in found.counts.items() if status == "failed")
    code = int(failed > 0)
    verdict = f"{number(failed)} would fail" if failed else "their headers and lengths have no errors"
    screen.final(f"{counted(found.files, 'file')} in {folder}. Exit code {code}: {verdict}.")
    return code


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


def _scan(screen: Screen, folder: str) -> tuple[Scan, list[tuple[str, str]]]:
    with TemporaryDirectory(prefix="dcm2zarr-inspect-") as temporary, show_progress(screen) as progress:
        config = from_dict(
            {
                "source": {"paths": [str(folder)]},
                "output": {"path": temporary},
                "cluster": {"kind": "synchronous"},
            }
        )
        with start(config.cluster) as executor:
            found = scan_sources(config, OutputDir(temporary), executor, progress, make_salt())
        return found, list(read_unstored(OutputDir(temporary), found.segments))


def kinds_table(instances: Sequence[Instance], limit: int | None) -> Table:
    """Return a table with a row for each modality, transfer syntax and pixel format, the most frequent first."""
    groups: defaultdict[tuple[str, str, str, str, str], list[Instance]] = defaultdict(list)
    for instance in instances:
        groups[_kind(instance)].append(instance)
    table = grid(
        ("Modality", "Transfer syntax", "Frame", "Type", "Colour"), ("Series", "Files", "Frames", "Encoded", "Decoded")
    )
    ordered = sorted(groups.items(), key=lambda item: (-len(item[1]), item[0]))
    for kind, members in ordered[:limit]:
        add(table, *kind, *_sums(members))
    if limit is not None and len(ordered) > limit:
        add(table, f"… {len(ordered) - limit} more (-v shows all)")
    return table


def _kind(instance: Instance) -> tuple[str, str, str, str, str]:
    pixels = instance.format
    return (
        instance.modality or "–",  # noqa: RUF001  a dash for nothing
        transfer_syntax_name(instance.transfer_syntax_uid),
        shape(pixels.frame_shape),
        pixels.dtype,
        pixels.photometric_interpretation,
    )


def _sums(instances: Sequence[Instance]) -> Iterable[str]:
    yield number(len({instance.series_instance_uid for instance in instances}))
    yield number(len(instances))
    yield number(sum(instance.number_of_frames for instance in instances))
    yield size(sum(instance.encoded_bytes for instance in instances))
    yield size(sum(instance.number_of_frames * instance.format.frame_bytes for instance in instances))


def _totals(found: Scan) -> Iterable[str]:
    studies = len({instance.study_instance_uid for instance in found.instances})
    series = len({instance.series_instance_uid for instance in found.instances})
    frames = sum(instance.number_of_frames for instance in found.instances)
    yield (
        f"{counted(found.files, 'file')}, {size(found.bytes)}: {counted(len(found.instances), 'image file')} with "
        f"{counted(frames, 'frame')}, in {number(series)} series of {number(studies)} "
        f"{'study' if studies == 1 else 'studies'}"
    )
