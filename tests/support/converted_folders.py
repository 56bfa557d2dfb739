"""Folders of files converted by the command, as a user does it, and what is left of each file."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import zarr
from click.testing import CliRunner, Result

from pipeline.cli import main
from support.stored_frames import stored_frames


def invoke(*arguments: str) -> Result:
    """Run ``dcm2zarr`` in this process."""
    return CliRunner().invoke(main, arguments, env={"COLUMNS": "300"})


@dataclass(frozen=True)
class Converted:
    """A conversion that has ended."""

    folder: Path
    out: Path
    result: Result

    @cached_property
    def rows(self) -> dict[str, dict[str, Any]]:
        """The catalog's rows by the files' paths below the folder."""
        table = pq.read_table(self.out / "catalog.parquet").to_pylist()
        return {os.path.relpath(row["source"], self.folder): row for row in table}

    @property
    def told(self) -> str:
        """All that the terminal and the report say."""
        return self.result.output + (self.out / "report.html").read_text("utf-8")

    def group(self, name: str) -> zarr.Group:
        """The image that a file is stored in."""
        return zarr.open_group(self.out / "images.zarr" / self.rows[name]["image"], mode="r")

    def frames(self, name: str) -> np.ndarray:
        """What is stored of a file."""
        row = self.rows[name]
        start = row["frame_start"]
        return stored_frames(self.group(name)["pixels"], slice(start, start + row["num_frames"]))

    def values(self, name: str, keyword: str) -> list[Any]:
        """One value of an attribute for each frame of a file, whether it differs between frames or not."""
        row, group = self.rows[name], self.group(name)
        if keyword in group:
            return group[keyword][row["frame_start"] : row["frame_start"] + row["num_frames"]].tolist()
        return [group.attrs.get(keyword)] * row["num_frames"]

    def verdicts(self, *options: str) -> dict[str, dict[str, Any]]:
        """What ``verify --source`` says of each file."""
        invoke("verify", str(self.out), "--source", "--cluster", "synchronous", *options)
        table = pq.read_table(self.out / "verify.parquet").to_pylist()
        return {os.path.relpath(row["source"], self.folder): row for row in table}


def convert(folder: Path, files: dict[str, bytes], *options: str, sources: tuple[str, ...] = ()) -> Converted:
    """Write files into a folder and convert it, or the `sources` in it."""
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    given = [str(folder / source) for source in sources] or [str(folder)]
    out = folder.with_name(f"{folder.name}-out")
    return Converted(folder, out, invoke("convert", *given, str(out), "--cluster", "synchronous", *options))
