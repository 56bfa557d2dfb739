"""The commands init, convert-partition and finalize: a conversion as an array of jobs."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline import engine
from pipeline.cli.progress import watched
from pipeline.cli.screen import Screen
from pipeline.cli.summary import show_summary
from pipeline.config import Cluster, RunConfig, parse_bytes
from pipeline.errors import ConfigError
from pipeline.printable import printable
from pipeline.report.units import counted


@dataclass(frozen=True, slots=True)
class Cut:
    """Into how many partitions a plan is to be cut, or into which of what size."""

    partitions: int | None
    size: str | None

    @property
    def bytes(self) -> int | None:
        """The size in bytes; ConfigError for a text that is none."""
        try:
            size = None if self.size is None else parse_bytes(self.size)
        except ValueError as error:
            raise ConfigError(f"--partition-size: {error}") from error
        if size == 0:
            raise ConfigError("--partition-size: expected a size above 0")
        return size


def init(screen: Screen, config: RunConfig, cut: Cut, *, overwrite: bool) -> int:
    """Prepare a conversion, tell how many partitions there are, and return the exit code."""
    given = {"partitions": cut.partitions, "partition_bytes": cut.bytes}
    with watched(screen) as progress:
        parts = engine.init(config, **given, overwrite=overwrite, progress=progress)
    if screen.quiet:
        screen.text(str(len(parts)))
        return 0
    tasks = sum(map(len, parts.ranges))
    screen.show("", f"{counted(tasks, 'task')} in {counted(len(parts), 'partition')}; each by a job of its own:", "")
    if parts.ranges:
        screen.text(f"    dcm2zarr convert-partition {printable(parts.out)} K    # K from 0 to {len(parts) - 1}")
    screen.text(f"    dcm2zarr finalize {printable(parts.out)}")
    screen.show("")
    screen.final(f"{counted(len(parts), 'partition')} → {parts.out}")
    return 0


def convert_partition(screen: Screen, out: str, number: int, workers: int | None) -> int:
    """Convert one partition, tell what became of it, and return the exit code."""
    chosen = Cluster(kind="local", workers=workers) if workers else Cluster(kind="synchronous")
    with watched(screen) as progress:
        done = engine.convert_partition(out, number, cluster=chosen, progress=progress)
    earlier = f" ({done.earlier} by earlier jobs)" if done.earlier else ""
    failures = f"; {counted(done.failures, 'file')} failed, which finalize tells" if done.failures else ""
    verdict = f"{counted(done.missing, 'task')} lost: run it again" if done.missing else "it is done"
    screen.final(
        f"Partition {number}: {counted(done.tasks, 'task')}{earlier}, {counted(done.frames, 'frame')} stored{failures}. "
        f"Exit code {done.exit_code}: {verdict}."
    )
    return done.exit_code


def finalize(screen: Screen, out: str, workers: int | None) -> int:
    """Complete the result, tell what became of it, and return the exit code."""
    with watched(screen) as progress:
        summary = engine.finalize(out, cluster=Cluster(workers=workers or "auto"), progress=progress)
    show_summary(screen, summary)
    return summary.exit_code
