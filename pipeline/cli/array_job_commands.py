"""The commands init, convert-partition and finalize: a conversion as an array of jobs."""

from __future__ import annotations

import shlex
from dataclasses import dataclass

from pipeline import runs
from pipeline.cli.end_of_run import show_summary
from pipeline.cli.screen import Screen
from pipeline.cli.terminal_progress import show_progress
from pipeline.config import Cluster, RunConfig, load, parse_bytes
from pipeline.errors import ConfigError
from pipeline.printable import printable
from pipeline.runs import find_doubt
from pipeline.storage import absolute
from pipeline.units import counted


@dataclass(frozen=True, slots=True)
class Cut:
    """The number of partitions that a plan is cut into, or their size."""

    partitions: int | None
    size: str | None

    @property
    def bytes(self) -> int | None:
        """The size in bytes; ConfigError if the text isn't a size."""
        try:
            size = None if self.size is None else parse_bytes(self.size)
        except ValueError as error:
            raise ConfigError(f"--partition-size: {error}") from error
        if size == 0:
            raise ConfigError("--partition-size: expected a size above 0")
        return size


@dataclass(frozen=True, slots=True)
class Given:
    """The options that replace the configuration in the output directory, if others can write there."""

    config: str | None
    settings: tuple[str, ...]
    trusting: bool

    @property
    def loaded(self) -> RunConfig | None:
        """The caller's own configuration, if any; ConfigError if it is invalid."""
        if self.settings and self.config is None:
            raise ConfigError("--set: give --config too; --set changes the configuration that --config names")
        return None if self.config is None else load(self.config, self.settings)

    @property
    def options(self) -> str:
        """The same options, for a command line."""
        config = absolute(str(self.config))
        return "".join(
            f" {shlex.quote(word)}" for word in ("--config", config, *(f"--set={text}" for text in self.settings))
        )


def init(screen: Screen, given: Given, cut: Cut, *, overwrite: bool) -> int:
    """Prepare a conversion, print the number of partitions, and return the exit code."""
    with show_progress(screen) as progress:
        parts = runs.init(
            load(str(given.config), given.settings),
            partitions=cut.partitions,
            partition_bytes=cut.bytes,
            overwrite=overwrite,
            trusting=given.trusting,
            progress=progress,
        )
    if screen.quiet:
        screen.text(str(len(parts)))
        return 0
    tasks, own = sum(map(len, parts.ranges)), given.options if find_doubt(parts.out) else ""
    screen.show("", f"{counted(tasks, 'task')} in {counted(len(parts), 'partition')}; each by a job of its own:", "")
    if parts.ranges:
        screen.text(
            f"    dcm2zarr convert-partition {printable(parts.out.name)} K{own}    # K from 0 to {len(parts) - 1}"
        )
    screen.text(f"    dcm2zarr finalize {printable(parts.out.name)}{own}")
    screen.show("")
    screen.final(f"{counted(len(parts), 'partition')} → {parts.out}")
    return 0


def convert_partition(screen: Screen, out: str, number: int, workers: int | None, given: Given) -> int:
    """Convert one partition, print its outcome, and return the exit code."""
    chosen = Cluster(kind="local", workers=workers) if workers else Cluster(kind="synchronous")
    with show_progress(screen) as progress:
        done = runs.convert_partition(
            out, number, config=given.loaded, trusting=given.trusting, cluster=chosen, progress=progress
        )
    earlier = f" ({done.earlier} by earlier jobs)" if done.earlier else ""
    failures = f"; {counted(done.failures, 'file')} failed, and finalize names them" if done.failures else ""
    verdict = f"{counted(done.missing, 'task')} lost: run it again" if done.missing else "it is done"
    screen.final(
        f"Partition {number}: {counted(done.tasks, 'task')}{earlier}, {counted(done.frames, 'frame')} stored{failures}. "
        f"Exit code {done.exit_code}: {verdict}."
    )
    return done.exit_code


def finalize(screen: Screen, out: str, workers: int | None, given: Given) -> int:
    """Complete the result, print its summary, and return the exit code."""
    chosen = Cluster(workers=workers or "auto")
    with show_progress(screen) as progress:
        summary = runs.finalize(out, config=given.loaded, trusting=given.trusting, cluster=chosen, progress=progress)
    show_summary(screen, summary)
    return summary.exit_code
