"""Results in a folder to which another user may write: edited, linked, exchanged; and whether anything else changed."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from click.testing import Result
from pydicom.uid import generate_uid

from support.converted_folders import invoke
from support.dicom_bytes import native_file

NOBODY = 65534
"""A user without any rights, on every system."""
HERE = ("--set", "cluster.kind=synchronous")
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can act as another user")


def some_files(folder: Path, count: int = 4) -> Path:
    """Write single-frame files of one series."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        uid = f"1.2.3.4.{number + 1}"
        data = native_file(bytes([number] * 256), rows=16, columns=16, SOPInstanceUID=uid)
        (folder / f"{number}.dcm").write_bytes(data)
    return folder


def configuration(folder: Path, out: Path, **sections: Any) -> Path:
    """Write a configuration beside the output directory."""
    values = {"source": {"paths": [str(folder)]}, "output": {"path": str(out)}, "cluster": {"kind": "synchronous"}}
    path = out.with_name(f"{out.name}.yaml")
    path.write_text(json.dumps({**values, **sections}))  # JSON is YAML
    return path


@dataclass(frozen=True)
class Output:
    """An output directory, the configuration that made it, and the folder that it was made from."""

    path: Path
    config: Path
    sources: Path

    def run(self, *options: str) -> Result:
        """Run the command that made it again."""
        return invoke("run", str(self.config), *options)

    def verify(self, *options: str) -> Result:
        """Verify it."""
        return invoke("verify", str(self.path), "--cluster", "synchronous", *options)

    def images(self) -> dict[Path, bytes]:
        """The contents of images.zarr."""
        return {path: path.read_bytes() for path in (self.path / "images.zarr").rglob("*") if path.is_file()}


def edit_table(out: Path, name: str, change: Callable[[list[dict[str, Any]]], None]) -> None:
    """Change the rows of a table of the plan, and the plan's own count of them."""
    seal = json.loads((out / "plan/plan.json").read_bytes())
    path = out / f"plan/{seal['tables']}/{name}.parquet"
    table = pq.read_table(path)
    rows = table.to_pylist()
    change(rows)
    pq.write_table(table.from_pylist(rows, schema=table.schema), path)
    seal["rows"][name] = len(rows)
    (out / "plan/plan.json").write_text(json.dumps(seal))


def edit_facts(out: Path, **facts: Any) -> None:
    """Change values of the plan outside its tables."""
    seal = json.loads((out / "plan/plan.json").read_bytes())
    seal["facts"] |= facts
    (out / "plan/plan.json").write_text(json.dumps(seal))


def line(record: Any) -> bytes:
    """Return a line of a ledger, with the right checksum."""
    payload = json.dumps(record, separators=(",", ":")).encode()
    return b'{"crc32":"%08x","record":%s}\n' % (zlib.crc32(payload), payload)


def edit_ledger(out: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    """Change each record of a ledger, and set the right checksums."""
    for segment in sorted((out / "ledger").glob("*.jsonl")):
        records = [json.loads(text)["record"] for text in segment.read_bytes().splitlines()]
        segment.write_bytes(b"".join(line(change(record) or record) for record in records))


def snapshot(*folders: Path) -> dict[str, Any]:
    """Everything in the folders: each name, its type and its content."""
    return dict(_entries(folders))


def _entries(folders: tuple[Path, ...]) -> Iterator[tuple[str, Any]]:
    for folder in folders:
        for path in (folder, *sorted(folder.rglob("*"))):
            info = path.lstat()
            held = str(path.readlink()) if path.is_symlink() else _digest(path) if path.is_file() else ""
            yield str(path), (oct(info.st_mode), info.st_uid, info.st_mtime_ns if path.is_file() else 0, held)


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@contextmanager
def nothing_else_changes(*folders: Path) -> Iterator[None]:
    """Fail if anything in these folders is different afterwards."""
    before = snapshot(*folders)
    yield
    after = snapshot(*folders)
    assert after == before, {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}


def as_nobody(*command: object, given: str = "") -> None:
    """Run a command of the system as a user without rights."""
    words = [str(word) for word in command]
    subprocess.run(words, input=given, text=True, user=NOBODY, group=NOBODY, extra_groups=[], check=True, cwd="/")


@contextmanager
def shared_folder(name: str) -> Iterator[Path]:
    """A folder that every user can reach, unlike pytest's own."""
    path = Path("/tmp") / f"dcm2zarr-{name}-{generate_uid()[-12:]}"  # noqa: S108
    path.mkdir(mode=0o755)
    path.chmod(0o755)
    try:
        yield path
    finally:
        shutil.rmtree(path)
