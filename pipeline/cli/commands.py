"""The commands and their options. Each command imports its modules when it runs: ``--help`` must not wait for Dask."""

# ruff: noqa: PLC0415  see above

from __future__ import annotations

from typing import Any

import click

from pipeline.cli.screen import Screen, guarded
from pipeline.cli.shared_options import Commands, codes, common, configured, overriding, overwriting, trusting

_CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 110}


@click.group(cls=Commands, context_settings=_CONTEXT, epilog=codes())
@click.version_option(package_name="dcm2zarr", prog_name="dcm2zarr")
def main() -> None:
    """Convert DICOM into chunked Zarr v3, frame by frame, in parallel with Dask; never lose a frame silently."""


@main.command(short_help="Convert files and folders, no YAML needed.", epilog=codes())
@click.argument("paths", nargs=-1, metavar="SRC... OUT")
@click.option("--grouping", metavar="HOW", help="series (the default) stacks a series' instances; instance doesn't.")
@click.option("--workers", metavar="N", help="Worker processes or threads; by default one for each core.")
@click.option(
    "--cluster", metavar="KIND", help="synchronous, threads, local (the default), or a scheduler: tcp://10.0.0.1:8786."
)
@click.option("--raw", is_flag=True, help="Keep YCbCr as it is instead of converting it to RGB.")
@click.option("--plugin", metavar="NAME", help="Use this decoding plugin only, such as imagecodecs or pylibjpeg.")
@click.option("--shard", metavar="SIZE", help="Decoded bytes in each shard, such as '64 MiB'.")
@click.option("--frames", metavar="WHICH", help="A slice or indices from 0, in every instance: '::2', '0,5,9'.")
@click.option(
    "--where", multiple=True, metavar="KEYWORD=VALUE", help="Only instances with this value; repeat for several values."
)
@click.option("--keyword", multiple=True, metavar="KEYWORD", help="One more DICOM keyword as a column of the catalog.")
@click.option(
    "--dry-run", is_flag=True, help="Show what the command would do, as the command plan does; write nothing."
)
@overwriting
@trusting
@overriding
@common
@guarded
def convert(
    screen: Screen, /, paths: tuple[str, ...], *, dry_run: bool, overwrite: bool, trusting: bool, **given: Any
) -> int:
    """Convert files, folders, glob patterns, a DICOMDIR, or .txt, .csv and .parquet lists of paths into OUT."""
    from pipeline.cli import convert as action

    sources, out = action.split_arguments(paths)
    config = action.configuration(sources, out, given)
    with action.ask_for_output(out):
        if dry_run:
            return action.plan(screen, config)
        return action.run(screen, config, overwrite=overwrite, trusting=trusting)


@main.command(short_help="Convert as a YAML file says.", epilog=codes())
@click.argument("config", metavar="CONFIG")
@overwriting
@trusting
@overriding
@common
@guarded
def run(screen: Screen, /, config: str, *, overwrite: bool, trusting: bool, settings: tuple[str, ...]) -> int:
    """Convert as the YAML file CONFIG says."""
    from pipeline.cli import convert as action
    from pipeline.config import load

    return action.run(screen, load(config, settings), overwrite=overwrite, trusting=trusting)


@main.command(short_help="Go on with a run that ended early.", epilog=codes())
@click.argument("out", metavar="OUT")
@trusting
@overriding
@common
@guarded
def resume(screen: Screen, /, out: str, *, trusting: bool, settings: tuple[str, ...]) -> int:
    """Go on with the run that left the output directory OUT, with the configuration in its run.yaml.

    If others can write OUT, give your own configuration (dcm2zarr run CONFIG), or --trust-output.
    """
    from pipeline.cli import convert as action

    return action.resume(screen, out, settings, trusting=trusting)


@main.command(short_help="Show how far a run is.", epilog=codes())
@click.argument("out", metavar="OUT")
@common
@guarded
def status(screen: Screen, /, out: str) -> int:
    """Show what is done and what is left in the output directory OUT, and whether its run is alive or dead."""
    from pipeline import runs
    from pipeline.cli.status_view import show_status

    return show_status(screen, runs.status(out))


@main.command(short_help="Array jobs, first: scan, plan, and cut into partitions.", epilog=codes())
@click.argument("config", metavar="CONFIG")
@click.option(
    "--partitions", type=click.IntRange(1), metavar="N", help="Number of partitions, at most one for each task."
)
@click.option(
    "--partition-size",
    metavar="SIZE",
    help="Or: bytes that each partition reads and stores, such as '64 GiB' (default).",
)
@overwriting
@trusting
@overriding
@common
@guarded
def init(
    screen: Screen,
    /,
    config: str,
    *,
    partitions: int | None,
    partition_size: str | None,
    overwrite: bool,
    trusting: bool,
    settings: tuple[str, ...],
) -> int:
    """Scan and plan as CONFIG says, for jobs that convert partitions; with -q, print only the number of partitions."""
    from pipeline.cli import array_job_commands as action

    given = action.Given(config, settings, trusting)
    return action.init(screen, given, action.Cut(partitions, partition_size), overwrite=overwrite)


@main.command(short_help="Array jobs, second: convert one partition.", epilog=codes())
@click.argument("out", metavar="OUT")
@click.argument("partition", metavar="K", type=int)
@click.option(
    "--workers", type=click.IntRange(1), metavar="N", help="Worker processes; without it, this process converts."
)
@configured
@trusting
@common
@guarded
def convert_partition(screen: Screen, /, out: str, partition: int, *, workers: int | None, **given: Any) -> int:
    """Convert partition K, from 0, of the output directory OUT. Work of earlier jobs isn't done again.

    The exit code is 0 if the whole partition is done, even if single files failed: finalize names them.
    """
    from pipeline.cli import array_job_commands as action

    return action.convert_partition(screen, out, partition, workers, action.Given(**given))


@main.command(short_help="Array jobs, last: complete the result.", epilog=codes())
@click.argument("out", metavar="OUT")
@click.option("--workers", type=click.IntRange(1), metavar="N", help="Worker processes; by default one for each core.")
@configured
@trusting
@common
@guarded
def finalize(screen: Screen, /, out: str, *, workers: int | None, **given: Any) -> int:
    """Complete OUT if every partition is done; otherwise name the partitions to run again, with exit code 3."""
    from pipeline.cli import array_job_commands as action

    return action.finalize(screen, out, workers, action.Given(**given))


@main.command(short_help="Show what a YAML file would do.", epilog=codes())
@click.argument("config", metavar="CONFIG")
@overriding
@common
@guarded
def plan(screen: Screen, /, config: str, *, settings: tuple[str, ...]) -> int:
    """Show what a run of CONFIG would do: images, shapes, shards, tasks, bytes, memory. Write nothing."""
    from pipeline.cli import convert as action
    from pipeline.config import load

    return action.plan(screen, load(config, settings))


@main.command(short_help="Look at a file, a folder or a result.", epilog=codes())
@click.argument("path", metavar="PATH")
@common
@guarded
def inspect(screen: Screen, /, path: str) -> int:
    """Describe PATH: a DICOM file, a folder of such files, or an output directory."""
    from pipeline.cli.inspection_view import inspect as action

    return action(screen, path)


@main.command(short_help="Check a result, byte by byte.", epilog=codes())
@click.argument("out", metavar="OUT")
@click.option("--source", is_flag=True, help="Decode the originals again and compare them: which can be deleted?")
@click.option(
    "--sample", type=click.IntRange(1), metavar="N", help="Only N frames, and N originals; all else is still checked."
)
@click.option("--seed", type=int, default=0, metavar="N", help="Seed of the random choice of --sample; 0 by default.")
@click.option("--workers", metavar="N", help="Worker processes or threads; by default one for each core.")
@click.option("--cluster", metavar="KIND", help="Where the checks run, as for convert; local by default.")
@configured
@trusting
@common
@guarded
def verify(screen: Screen, /, out: str, *, source: bool, sample: int | None, seed: int, **given: Any) -> int:
    """Check that the result OUT is whole and unchanged: every file, every chunk, every frame's checksum, every row.

    With --source the exit code is 0 only if every file that the run found can be deleted.
    """
    from pipeline.cli import convert as options
    from pipeline.cli.array_job_commands import Given
    from pipeline.cli.verifying import verify as action

    cluster = options.cluster(given.pop("cluster"), given.pop("workers"))
    return action(screen, out, source=source, sample=sample, seed=seed, cluster=cluster, given=Given(**given))


@main.command(short_help="Print the JSON Schema of the YAML.", epilog=codes())
@common
@guarded
def schema(screen: Screen, /) -> int:
    """Print the JSON Schema of the configuration, with which editors complete and check YAML."""
    import json

    from pipeline.config import schema as schema_of_configuration

    screen.text(json.dumps(schema_of_configuration(), indent=2))
    return 0
