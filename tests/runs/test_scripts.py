"""Scripts that convert at module level, which worker processes import again: they get a clear message, and nothing else happens."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from support.dicom_bytes import native_file

TOLD = 'starts worker processes, which import the script and would run this line again: put it under if __name__ == "__main__":'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.dcm").write_bytes(native_file(bytes(range(16))))
    return tmp_path


def run(folder: Path, text: str, *, pipe: bool = False) -> subprocess.CompletedProcess[str]:
    """Run a script; every process that it starts must end with it."""
    script = folder / "script.py"
    script.write_text(f"print('begun', flush=True)\nimport pipeline\n{text}\n", "utf-8")
    given = {"input": script.read_text("utf-8")} if pipe else {}
    done = subprocess.run(
        [sys.executable, "-" if pipe else str(script)],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
        **given,
    )
    assert not [one for one in psutil.process_iter(["cmdline"]) if str(script) in (one.info["cmdline"] or ())]
    return done


@pytest.mark.parametrize(
    "text",
    [
        "pipeline.convert('in', 'out')",
        "def work():\n    return pipeline.convert('in', 'out', cluster={'workers': 2})\nsummary = work()",
        "with open('in/a.dcm'):\n    pipeline.convert('in', 'out')",
        "import pipeline.verify\npipeline.convert('in', 'out', cluster={'kind': 'threads'})\npipeline.verify.verify('out')",
    ],
    ids=["a call", "in a function", "in a block", "verify"],
)
def test_a_statement_that_every_worker_would_come_to(folder: Path, text: str) -> None:
    done = run(folder, text)
    assert done.returncode == 1
    assert done.stdout == "begun\n", "no worker has been started"
    *trace, last = done.stderr.splitlines()
    assert last.startswith("pipeline.errors.ConfigError: script.py, line ")
    assert last.endswith(TOLD)
    assert sum(line.startswith("Traceback") for line in trace) == 1
    assert (folder / "out").exists() is ("verify" in text)


def test_a_statement_that_workers_come_to_although_there_is_a_condition(folder: Path) -> None:
    done = run(folder, "if len('x'):\n    pipeline.convert('in', 'out', cluster={'workers': 1})")
    assert done.returncode == 1
    assert done.stderr.count("Traceback") == 1
    last = done.stderr.splitlines()[-1]
    assert last.startswith("pipeline.errors.ClusterError: cluster: worker processes could not be started: ")
    assert last.endswith('In a script, put the statement that starts them under if __name__ == "__main__":')


def test_a_script_that_came_through_a_pipe(folder: Path) -> None:
    done = run(folder, "pipeline.convert('in', 'out')", pipe=True)
    assert done.returncode == 1
    assert "this script came through a pipe: save it as a file, or use cluster=" in done.stderr.splitlines()[-1]
    assert not (folder / "out").exists()


@pytest.mark.parametrize(
    "text",
    [
        "if __name__ == '__main__':\n    print(pipeline.convert('in', 'out', cluster={'workers': 1}).exit_code)",
        "print(pipeline.convert('in', 'out', cluster={'kind': 'threads'}).exit_code)",
    ],
    ids=["guarded", "threads"],
)
def test_scripts_that_are_right(folder: Path, text: str) -> None:
    done = run(folder, text)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[-1] == "0"
