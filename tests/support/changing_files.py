"""A folder of files that change, and its conversion, for tests of changed files."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import zarr
from click.testing import CliRunner, Result

from pipeline.cli import main
from pipeline.verify import file_verdicts, verify
from support.series_files import dicom, pixels
from support.stored_frames import stored_frames

TASK_WORK = 2**10
"""Task work for a shard or two."""
STACK = "1.2/1.2.3/stack-1"


@dataclass
class Archive:
    """A folder of files, the pixels of each, and the output directory."""

    folder: Path
    out: Path
    holds: dict[str, np.ndarray]
    """Name → the frames that the file holds now."""

    def put(self, name: str, array: np.ndarray, number: int = 1, **more: Any) -> None:
        self.write(name, dicom(array, number, **more))
        self.holds[name] = array

    def write(self, name: str, data: bytes) -> None:
        """Write a file that isn't an image, or can't be decoded; never with its earlier time of change."""
        path = self.folder / name
        before = path.stat().st_mtime_ns if path.exists() else 0
        path.write_bytes(data)
        os.utime(path, ns=(1, max(before + 10**9, 1_700_000_000 * 10**9)))
        self.holds.pop(name, None)

    def touch(self, name: str) -> None:
        path = self.folder / name
        os.utime(path, ns=(1, path.stat().st_mtime_ns + 10**9))

    def remove(self, name: str) -> None:
        (self.folder / name).unlink()
        self.holds.pop(name)

    def convert(self, *options: str) -> Result:
        """Convert with the command, in this process."""
        arguments = [
            "convert",
            str(self.folder),
            str(self.out),
            *("--set", "output.shard=600"),
            *("--set", "report.images=1"),
            *("--set", f"cluster.task_work={TASK_WORK}"),
        ]
        return CliRunner().invoke(main, [*arguments, "--cluster", "synchronous", *options], env={"COLUMNS": "300"})

    def values(self, **source: Any) -> dict[str, Any]:
        return {
            "source": {"paths": [str(self.folder)], **source},
            "output": {"path": str(self.out), "shard": 600},
            "cluster": {"kind": "synchronous", "task_work": TASK_WORK},
            "report": {"images": 1},
        }

    def rows(self) -> dict[str, dict[str, Any]]:
        table = pq.read_table(self.out / "catalog.parquet").to_pylist()
        assert len({row["source"] for row in table}) == len(table)
        return {Path(row["source"]).name: row for row in table}

    def stored(self, name: str) -> np.ndarray:
        row = self.rows()[name]
        return self.image(row["image"])[row["frame_start"] : row["frame_start"] + row["num_frames"]]

    def image(self, path: str) -> np.ndarray:
        return stored_frames(zarr.open_group(self.out / "images.zarr" / path, mode="r")["pixels"])

    def files(self, path: str = "") -> dict[str, bytes]:
        root = self.out / "images.zarr" / path
        return {str(one.relative_to(root)): one.read_bytes() for one in root.rglob("*") if one.is_file()}

    def check(self, **verdicts: str) -> None:
        """Check that every converted row leads to its file's content, ``verify`` finds nothing, and nothing is left to do."""
        rows = self.rows()
        for name, array in self.holds.items():
            if rows[name]["status"] == "converted":
                np.testing.assert_array_equal(self.stored(name), array, err_msg=name)
        found = verify(self.out, source=True, cluster={"kind": "synchronous"})
        wrong = {problem.code for problem in found.problems} - (
            {"source_gone"} if "gone" in verdicts.values() else set()
        )
        assert wrong == set(), found.problems
        said = {Path(row["source"]).name: row["verdict"] for row in file_verdicts(found)}
        assert said == dict.fromkeys(rows, "equal") | verdicts
        assert not (self.out / "plan" / "aside").exists()
        assert "Nothing to do" in self.convert().output

    def fresh(self) -> dict[str, bytes]:
        """The contents of images.zarr after converting the folder in its present state."""
        other = replace(self, out=self.out.with_name("fresh"))
        shutil.rmtree(other.out, ignore_errors=True)
        other.convert("--set", "report.images=0")
        return other.files()

    def result(self) -> tuple[dict[str, bytes], list[dict[str, Any]]]:
        return self.files(), pq.read_table(self.out / "catalog.parquet").to_pylist()


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Archive:
    """A stack of five slices in several tasks, a stack of two, and a file of three frames; converted once."""
    folder = tmp_path_factory.mktemp("changed")
    (folder / "in").mkdir()
    found = Archive(folder / "in", folder / "out", {})
    for number in range(1, 6):
        found.put(f"s{number}.dcm", pixels(number), number)
    for number in range(1, 3):
        found.put(f"t{number}.dcm", pixels(10 + number), number, series="1.2.4")
    found.put("m.dcm", pixels(20, 3), 9)
    assert found.convert().exit_code == 0
    for name in ("in", "out"):
        shutil.copytree(folder / name, folder / f"pristine-{name}")
    return found


@pytest.fixture
def archive(pristine: Archive) -> Archive:
    """The archive and its result in their first state, at the same paths."""
    for place in (pristine.folder, pristine.out):
        shutil.rmtree(place)
        shutil.copytree(place.with_name(f"pristine-{place.name}"), place)
    return replace(pristine, holds=dict(pristine.holds))


def told(result: Result) -> str:
    return " ".join(result.output.split())
