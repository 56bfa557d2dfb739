"""Whether an output directory may say what is read, and what is run: it is input, never authority.

What a run left there says which files to read (the plan), how stores are reached and what runs the tasks (``run.yaml``).
Whoever could write it could let this user read others' patients into it, send credentials elsewhere, or run code. So it
counts only where nobody but the caller could have written it. Else, *cluster* and *storage* are always the caller's own,
and files are read only that the caller's own configuration names, or where he trusts those who write there.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from functools import cache
from glob import has_magic

from pipeline.config import Cluster, RunConfig, load
from pipeline.errors import OutputError
from pipeline.executors import NullProgress
from pipeline.model import local_path
from pipeline.output import no_result_error
from pipeline.runs.scan_phase import find_files
from pipeline.runs.state import Prepared
from pipeline.runs.storage_settings import options_of
from pipeline.storage import STORES, LocalPlace, Options, OutputDir, active, is_remote, scheme_of, strangers

DECIDING = ("cluster", "storage")
"""Sections that could run code or send credentials elsewhere."""


def doubts(out: OutputDir) -> str:
    """Say why what `out` says shouldn't count: who but the caller could have written it; empty for no doubt."""
    root = out.root
    if not isinstance(root, LocalPlace):
        return "an object store doesn't tell who has written it"
    names = [name for name in (out.RUN_FILE, out.PLAN, out.LEDGER) if name in root.children()]
    names += [f"{folder}/{name}" for folder in (out.PLAN, out.LEDGER) for name in out.at(folder).children()]
    tables = [f"{out.PLAN}/{number}" for number in out.plan_numbers()]
    names += [f"{folder}/{table}" for folder in tables for table in out.at(folder).children()]
    return strangers(root.path, names)


def kept_configuration(
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
        stores are reached with the options that hold here.

    Raises
    ------
    OutputError
        Where there is none (reason ``no_result``), or somebody else could have written it, and the caller doesn't trust
        them (``output_not_yours``).
    ConfigError
        Where it can't be.
    """
    if not out.run_file.exists():
        raise no_result_error(out, f"it isn't the output directory of a run: there is no {out.RUN_FILE} in it")
    doubt = doubts(out)
    if doubt and not trusting:
        raise OutputError(
            f"{out}: its run.yaml and plan say which files are read and what runs, and could be somebody else's: {doubt}. "
            "Give your own configuration instead (dcm2zarr run CONFIG; convert-partition, finalize and verify: --config "
            "CONFIG), or add --trust-output if you trust all who can write there",
            reason="output_not_yours",
        )
    config = directed(load(out.run_file, overrides, without=DECIDING if doubt else ()), out)
    if doubt:  # nor does it say where a DICOMweb token goes
        return config, replace(active(), file_bits=config.output.file_bits, token_origins=())
    return config, options_of(config)


def directed(config: RunConfig, out: OutputDir) -> RunConfig:
    """Return `config` for the output directory `out`."""
    return config.model_copy(update={"output": config.output.model_copy(update={"path": out.name})})


def cluster_line(cluster: Cluster) -> str:
    """Return what is told of a cluster whose settings come from ``run.yaml``: the line that says what runs the tasks."""
    values = {"kind": cluster.kind, **cluster.model_dump(mode="json", exclude_defaults=True)}
    return "cluster settings from run.yaml: " + ", ".join(f"{name} {value}" for name, value in values.items())


def sources_of(prepared: Prepared) -> set[str]:
    """Return all files that a plan names."""
    copies = (source for copy in prepared.copies for source in (copy.source, copy.kept))
    return {*(one.source for one in prepared.plan.instances), *copies}


def check_sources_known(config: RunConfig, out: OutputDir, named: Collection[str]) -> None:
    """Refuse a plan that names files which the caller's configuration doesn't, where another could have made it.

    Raises
    ------
    OutputError
        Naming the first (reason ``output_not_yours``).
    """
    doubt = doubts(out)
    if not doubt:
        return
    foreign = sorted(others(named, config, out))
    if foreign:
        raise OutputError(
            f"{out}: the plan there names {len(foreign)} file(s) that aren't among your sources, such as {foreign[0]}, and "
            f"could be somebody else's: {doubt}. Add them to source.paths, choose another output directory, or add "
            "--trust-output if you trust all who can write there",
            reason="output_not_yours",
        )


def others(sources: Collection[str], config: RunConfig, out: OutputDir) -> set[str]:
    """Return those of `sources` that the configuration's paths don't stand for.

    What lies in a folder that they name is known by its path; only for lists, patterns and queries are files looked for.
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
    """Return what begins the paths of what lies in the folders among `paths`, behind links, and in stores' prefixes."""
    plain = [path for path in paths if not has_magic(path)]
    folders = (local_path(path) for path in plain if not is_remote(path))
    local = (os.path.realpath(folder).rstrip("/") + "/" for folder in folders if os.path.isdir(folder))  # noqa: PTH112
    return tuple(local), tuple(path.rstrip("/") + "/" for path in plain if scheme_of(path) in STORES)
