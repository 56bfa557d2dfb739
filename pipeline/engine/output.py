"""The output directory: made, or emptied when asked, before anything is written to it."""

from __future__ import annotations

import os
import re

from pipeline.catalog import has_plan, remove_plan
from pipeline.errors import ConfigError, OutputError
from pipeline.storage import WEB, Place, RemotePlace, absolute, linked, scheme_of
from pipeline.store import UNFINISHED

RUN_FILE = "run.yaml"
OURS = (
    "images.zarr", "catalog.parquet", "plan", "ledger", "report.json", "report.html", RUN_FILE, "verify.parquet", "verify.json",
)  # fmt: skip
"""What a run leaves in its output directory, and all that ``overwrite`` removes."""

_TEMPORARY = re.compile(rf"\.({'|'.join(map(re.escape, OURS))})\..*part")
"""What a file is written as before it takes its name."""


def begin(out: Place, *, overwrite: bool) -> None:
    """Make `out` ready for a run that goes on from what is there, or from nothing.

    Raises
    ------
    OutputError
        Where it holds anything that isn't ours, or a result whose plan is gone; where an entry of it is a link (reason
        ``linked_entry``); or where it can't be written.
    """
    try:
        refuse_links(out)
        _sweep(out)
        foreign = [name for name in out.children() if name not in OURS]
        if foreign:
            raise OutputError(
                f"{out} holds {foreign[0]!r}, which isn't part of a result of dcm2zarr: choose another output directory"
            )
        if not overwrite and not has_plan(str(out)) and (out / "catalog.parquet").exists():
            raise OutputError(
                f"{out} holds a result whose plan is gone, so that nothing can be added to it: choose another output "
                "directory, or replace it with --overwrite"
            )
        if overwrite or not has_plan(str(out)):
            _clear(out, everything=overwrite)
    except OSError as error:
        if isinstance(error, OutputError):
            raise
        raise OutputError(f"{out} can't be used as output directory: {error.strerror or error}") from error


def _sweep(out: Place) -> None:
    """Remove the temporary files that a dead run left on a disk: nothing else is written here now."""
    if isinstance(out, RemotePlace):  # objects appear whole, under their own name
        return
    for name in out.children():
        if _TEMPORARY.fullmatch(name):
            (out / name).remove()
    for name in ("plan", "images.zarr"):
        for left in (one for one in (out / name).walk() if one.endswith(UNFINISHED)):
            (out / name / left).remove()


def refuse_links(out: Place) -> None:
    """Refuse an output directory with a link where a file or a folder of ours should be.

    Of what lies deeper, links are refused where they are come upon.

    Raises
    ------
    OutputError
        Naming it, reason ``linked_entry``.
    """
    if isinstance(out, RemotePlace):  # there are none
        return
    below = (f"{name}/{one}" for name in ("plan", "ledger") for one in (out / name).children())
    for name in (*OURS, *below):
        if os.path.islink(str(out / name)):  # noqa: PTH114  of any text
            raise linked(str(out / name))


def _clear(out: Place, *, everything: bool) -> None:
    """Remove a result, or what a run left that died before it had a plan (but what it has scanned).

    The plan goes first and the catalog last: whatever is left when this is interrupted isn't taken for a result.
    """
    remove_plan(str(out))
    for name in (name for name in OURS if name != "catalog.parquet"):
        if name == "ledger":
            for segment in (out / name).children():
                if segment.endswith(".jsonl"):
                    (out / name / segment).remove()
        elif name != "plan" or everything:
            (out / name).remove()
    (out / "catalog.parquet").remove()


def inside(out: Place) -> tuple[str, ...]:
    """Return what the names of files in the output directory begin with; it may lie in a folder that is converted."""
    return f"{out}{os.sep}", f"{out}/"


def check_sources(paths: tuple[str, ...], out: Place) -> None:
    """Refuse sources inside the output directory, and an output on a web server.

    Raises
    ------
    ConfigError
        Naming the path.
    """
    if scheme_of(str(out)) in WEB:
        raise ConfigError(
            f"output.path: {out}: a web server can't be written to; use a folder, or s3://, gs:// or az://"
        )
    for path in paths:
        if f"{absolute(path)}/".startswith(inside(out)):
            raise ConfigError(f"source.paths: {path} lies in the output directory {out}; choose another output.path")
