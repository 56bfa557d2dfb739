"""Nothing is imported from the current folder, because another user may have filled it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from campaigns import poison
from pipeline.config import load
from pipeline.isolation.fresh_interpreter import call_fresh
from pipeline.isolation.safe_path import SAFE_PATH, VARIABLE
from pipeline.runs import array_jobs

COMMAND = Path(sys.executable).parent / "dcm2zarr"
TRAP = "with open({marker!r}, 'a') as file: file.write(__name__ + '\\n')\n"


class Hostile:
    """A folder of DICOM files, and of modules with every name that our code could import."""

    def __init__(self, root: Path, monkeypatch) -> None:
        self.root, self.folder, self.marker = root, root / "untrusted", root / "marker"
        self.environment = poison.environment(root, "on")
        self.folder.mkdir()
        names = {name.partition(".")[0] for name in sys.modules} | sys.stdlib_module_names
        for name in names - {"__main__"}:
            (self.folder / f"{name}.py").write_text(TRAP.format(marker=str(self.marker)), "utf-8")
        for package in ("dcm2zarr", "pipeline", "dask", "multiprocessing"):
            shutil.copytree(self.folder, self.folder / package, ignore=shutil.ignore_patterns("*/"))
            (self.folder / package / "__init__.py").write_text(TRAP.format(marker=str(self.marker)), "utf-8")
        poisonous = np.zeros(poison.SHAPE, np.uint8)
        text = b"POISON:segfault;"
        poisonous.reshape(-1)[: len(text)] = np.frombuffer(text, np.uint8)
        poison.write_file(self.folder / "good.dcm", [np.ones(poison.SHAPE, np.uint8)], "1.2.3.1", 1, "P")
        poison.write_file(self.folder / "poison.dcm", [poisonous], "1.2.3.2", 1, "P")
        monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
        monkeypatch.chdir(self.folder)

    def run(self, *arguments: str) -> int:
        """Run the command in the folder, which must not affect it; return its exit code."""
        done = subprocess.run([COMMAND, *arguments], check=False, capture_output=True, text=True, env=self.environment)
        assert self.imported == []
        assert "Traceback" not in done.stderr
        return done.returncode

    @property
    def imported(self) -> list[str]:
        """The modules that were imported from the folder."""
        return self.marker.read_text("utf-8").split() if self.marker.exists() else []


@pytest.fixture
def hostile(tmp_path, monkeypatch) -> Hostile:
    return Hostile(tmp_path, monkeypatch)


def test_a_conversion_and_its_verification_import_nothing_from_where_they_are_run(hostile):
    """One file kills the worker that decodes it, so a fresh interpreter does the task again."""
    out = str(hostile.root / "out")
    code = hostile.run("convert", "good.dcm", "poison.dcm", out, "--workers", "1", "--set", "decode.plugin=poison")
    assert code == 1
    assert "decoder_crashed" in (hostile.root / "out" / "report.json").read_text("utf-8")
    hostile.run("verify", out, "--source", "--workers", "1")
    assert '"equal": 1' in (hostile.root / "out" / "verify.json").read_text("utf-8")


def test_the_end_of_array_jobs_imports_nothing_from_where_it_is_run(hostile):
    out = hostile.root / "out"
    text = f"source: {{paths: ['good.dcm']}}\noutput: {{path: '{out}'}}\ncluster: {{kind: synchronous}}\n"
    (hostile.folder / "run.yaml").write_text(text, "utf-8")
    array_jobs.init(load(hostile.folder / "run.yaml"), partitions=1)
    array_jobs.convert_partition(out, 0)
    assert hostile.run("finalize", str(out), "--workers", "1") == 0


def test_a_fresh_interpreter_imports_nothing_from_where_it_is_started(hostile):
    assert call_fresh(os.getcwd) == str(hostile.folder)
    assert hostile.imported == []


def test_a_fresh_interpreter_looks_for_modules_where_its_parent_does(tmp_path, monkeypatch):
    (tmp_path / "found_by_path.py").write_text("def answer():\n    return 42\n", "utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    import found_by_path  # noqa: PLC0415  only now it can be found

    assert call_fresh(found_by_path.answer) == 42


SCRIPT = """
import os, sys
import pipeline
import beside  # which workers import with this script

if __name__ == "__main__":
    cluster = {"kind": "custom", "class_name": "beside.Own", "workers": 1, "security": "none"}
    for given in ({"kind": "local", "workers": 1}, cluster):
        pipeline.convert(sys.argv[1], sys.argv[2], cluster=given, overwrite=True)
        assert "PYTHONSAFEPATH" not in os.environ
    print("done")
"""
BESIDE = """
import distributed

class Own(distributed.LocalCluster):
    def __init__(self, **options):
        super().__init__(n_workers=0, threads_per_worker=1, dashboard_address=None, **options)
"""


def test_a_script_and_its_workers_import_what_lies_beside_it(tmp_path, pydicom_folder):
    (tmp_path / "script.py").write_text(SCRIPT, "utf-8")
    (tmp_path / "beside.py").write_text(BESIDE, "utf-8")
    command = [sys.executable, "script.py", str(pydicom_folder / "CT_small.dcm"), "out"]
    done = subprocess.run(command, check=False, capture_output=True, text=True, cwd=tmp_path)
    assert (done.stdout, done.returncode) == ("done\n", 0), done.stderr


@pytest.mark.parametrize("before", ["", "yes", None])
def test_the_environment_is_afterwards_what_it_was(monkeypatch, before):
    monkeypatch.delenv(VARIABLE, raising=False)
    if before is not None:
        monkeypatch.setenv(VARIABLE, before)
    with SAFE_PATH:
        with SAFE_PATH:
            assert os.environ[VARIABLE] == "1"
        assert os.environ[VARIABLE] == "1"
    assert os.environ.get(VARIABLE) == before
