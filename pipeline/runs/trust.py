"""Decide whether an output directory may say what is read and what is run: it is input, never authority.

The files of an earlier run say which files to read (the plan), how stores are reached and what runs the tasks (``run.yaml``).
Whoever could write them could make this user read others' patients into the result, send credentials elsewhere, or run code.
So they count only if nobody but the caller could have written them. Otherwise *cluster* and *storage* are always the caller's
own, and only files that the caller's own configuration names are read, unless the caller trusts those who can write there.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from functools import cache
from glob import has_magic

from pipeline.catalog import check_layout
from pipeline.config import Cluster, RunConfig, load
from pipeline.errors import OutputError
from pipeline.executors import NullProgress
from pipeline.model import local_path
from pipeline.output import no_result_error
from pipeline.runs.scan_phase import find_files
from pipeline.runs.state import Prepared
from pipeline.runs.storage_settings import storage_options
from pipeline.storage import (
    STORES,
    LocalPlace,
    Options,
    OutputDir,
    active,
    describe_other_writers,
    is_remote,
    scheme_of,
)

DECIDING = ("cluster", "storage")
"""Sections that could run code or send credentials elsewhere."""


def find_doubt(out: OutputDir) -> str:
    """Return the reason why the contents of `out` shouldn't be trusted: who else could have written them; empty if nobody."""
    root = out.root
    if not isinstance(root, LocalPlace):
        return "an object store doesn't say who has written an object"
    names = [name for name in (out.RUN_FILE, out.PLAN, out.LEDGER) if name in root.children()]
    names += [f"{folder}/{name}" for folder in (out.PLAN, out.LEDGER) for name in out.at(folder).children()]
    tables = [f"{out.PLAN}/{number}" for number in out.plan_numbers()]
    names += [f"{folder}/{table}" for folder in tables for table in out.at(folder).children()]
    return describe_other_writers(root.path, names)


def read_kept_configuration(
    out: OutputDir, overrides: Sequence[str] = (), *, trusting: bool = False
) -> tuple[RunConfig, Options]:
    """Return the configuration of the run that left `out`, which may have been moved since, and how stores are reached.

    Parameters
    ----------
    out : OutputDir
    overrides : sequence of str
        The caller's own ``section.key=value``.
    trusting : bool
        Whether the caller trusts whoever could have written it: its sources count then, its cluster and storage don't;
        stores are reached with the options in force here.

    Raises
    ------
    OutputError
        If there is no configuration (reason ``no_result``), or another user could have written it, and the caller doesn't
        trust them (``output_not_yours``).
    ConfigError
        If it isn't valid.
    """
    if not out.run_file.exists():
        raise no_result_error(out, f"it isn't the output directory of a run: it has no {out.RUN_FILE}")
    doubt = find_doubt(out)
    if doubt and not trusting:
        raise OutputError(
            f"{out}: its run.yaml and plan say which files are read and what runs, and another user could have written "
            f"them: {doubt}. "
            "Give your own configuration instead (dcm2zarr run CONFIG; convert-partition, finalize and verify: --config "
            "CONFIG), or add --trust-output if you trust all who can write there",
            reason="output_not_yours",
        )
    config = redirect_output(load(out.run_file, overrides, without=DECIDING if doubt else ()), out)
    check_layout(out, config.layout or 1)
    if doubt:  # a doubtful run.yaml doesn't decide where a DICOMweb token goes either
        return config, replace(active(), file_bits=config.output.file_bits, token_origins=())
    return config, storage_options(config)


def redirect_output(config: RunConfig, out: OutputDir) -> RunConfig:
    """Return `config` for the output directory `out`."""
    return config.model_copy(update={"output": config.output.model_copy(update={"path": out.name})})


def cluster_line(cluster: Cluster) -> str:
    """Return the line that says what runs the tasks if the cluster settings come from ``run.yaml``."""
    values = {"kind": cluster.kind, **cluster.model_dump(mode="json", exclude_defaults=True)}
    return "cluster settings from run.yaml: " + ", ".join(f"{name} {value}" for name, value in values.items())


def sources_of(prepared: Prepared) -> set[str]:
    """Return all files that a plan names."""
    copies = (source for copy in prepared.copies for source in (copy.source, copy.kept))
    return {*(instance.source for instance in prepared.plan.instances), *copies}


def check_sources_known(config: RunConfig, out: OutputDir, named: Collection[str]) -> None:
    """Refuse a plan that names files which the caller's configuration doesn't, if another user could have made it.

    Raises
    ------
    OutputError
        Names the first such file (reason ``output_not_yours``).
    """
    doubt = find_doubt(out)
    if not doubt:
        return
    foreign = sorted(find_foreign_sources(named, config, out))
    if foreign:
        raise OutputError(
            f"{out}: its plan names {len(foreign)} file(s) that aren't among your sources, such as {foreign[0]}, and "
            f"another user could have written the plan: {doubt}. Add them to source.paths, choose another output directory, or add "
            "--trust-output if you trust all who can write there",
            reason="output_not_yours",
        )


def find_foreign_sources(sources: Collection[str], config: RunConfig, out: OutputDir) -> set[str]:
    """Return those of `sources` that the configuration's paths don't name.

    Files in a named folder are recognised by their path; files are searched only for lists, patterns and queries.
    """
    local, remote = _folders(config.source.paths)
    real = cache(os.path.realpath)

    def lies_in(source: str) -> bool:
        if is_remote(source):
            return ".." not in source.split("/") and source.startswith(remote)
        folder = str(real(os.path.dirname(local_path(source))))  # noqa: PTH120
        return f"{folder}/".startswith(local)

    left = {source for source in sources if not lies_in(source)}
    return left - {file.source for file in find_files(config, out, NullProgress())} if left else left


def _folders(paths: Iterable[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the beginnings of all paths in the folders among `paths`, links resolved, and in the stores' prefixes."""
    plain = [path for path in paths if not has_magic(path)]
    folders = (local_path(path) for path in plain if not is_remote(path))
    local = (os.path.realpath(folder).rstrip("/") + "/" for folder in folders if os.path.isdir(folder))  # noqa: PTH112
    return tuple(local), tuple(path.rstrip("/") + "/" for path in plain if scheme_of(path) in STORES)
