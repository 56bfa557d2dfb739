"""The output directory: made, or emptied when asked, before anything is written to it."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from pipeline.errors import ConfigError, OutputError
from pipeline.storage import is_remote

RUN_FILE = "run.yaml"
OURS = (
    "images.zarr", "catalog.parquet", "plan", "ledger", "report.json", "report.html", RUN_FILE,
)  # fmt: skip
"""What a run leaves in its output directory, and all that ``overwrite`` removes."""


def prepare(out: Path, *, overwrite: bool) -> None:
    """Make `out` an empty output directory.

    Raises
    ------
    OutputError
        Where it holds an earlier result and `overwrite` is false, or anything that isn't ours, or can't be written.
    """
    try:
        present = sorted(entry.name for entry in os.scandir(out)) if out.exists() else []
        foreign = [name for name in present if name not in OURS]
        if foreign:
            raise OutputError(
                f"{out} holds {foreign[0]!r}, which isn't part of a result of dcm2zarr: choose another output directory"
            )
        if present and not overwrite:
            raise OutputError(
                f"{out} already holds a result ({', '.join(present)}): choose another output directory, or replace "
                "it with --overwrite"
            )
        for name in present:
            _remove(out / name)
        (out / "plan").mkdir(parents=True, exist_ok=True)
    except OSError as error:
        if isinstance(error, OutputError):
            raise
        raise OutputError(f"{out} can't be used as output directory: {error.strerror or error}") from error


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()


def outside(source: str, out: Path) -> bool:
    """Whether a file found is not part of the output directory (which may lie in a folder that is converted)."""
    return not (source == str(out) or source.startswith(f"{out}{os.sep}"))


def check_sources(paths: tuple[str, ...], out: Path) -> None:
    """Refuse sources inside the output directory.

    Raises
    ------
    ConfigError
        Naming the path.
    """
    for path in paths:
        if not is_remote(path) and not outside(str(Path(path).absolute()), out):
            raise ConfigError(f"source.paths: {path} lies in the output directory {out}; choose another output.path")
