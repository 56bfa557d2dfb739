"""Nothing but the program itself has the last word: what libraries do while they end isn't seen on the terminal."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

LAST_TURN = """
import asyncio, sys, time
whole = asyncio.BaseEventLoop.shutdown_default_executor
async def late(self, *timeout):
    await whole(self, *timeout)
    time.sleep(0.03)  # as on a busy machine: every timer is due in the loop's very last turn
asyncio.BaseEventLoop.shutdown_default_executor = late
from pipeline.cli import main
if __name__ == "__main__":
    main()
"""


def convert(source: Path, out: Path, cluster: str, *command: str) -> subprocess.CompletedProcess[str]:
    arguments = ["convert", str(source), str(out), "--cluster", cluster, "--workers", "1", "-q"]
    return subprocess.run(
        [sys.executable, *(command or ("-m", "pipeline.cli")), *arguments], capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize(
    ("name", "code", "cluster"),
    [("CT_small.dcm", 0, "synchronous"), ("MR_truncated.dcm", 1, "threads"), ("MR_truncated.dcm", 1, "local")],
)
def test_stderr_is_empty(tmp_path: Path, pydicom_folder: Path, name: str, code: int, cluster: str) -> None:
    done = convert(pydicom_folder / name, tmp_path / "out", cluster)
    assert (done.returncode, done.stderr) == (code, "")


@pytest.mark.parametrize("cluster", ["threads", "local"])
def test_what_waits_when_the_loop_ends(tmp_path: Path, pydicom_folder: Path, cluster: str) -> None:
    script = tmp_path / "script.py"
    script.write_text(LAST_TURN, "utf-8")
    done = convert(pydicom_folder / "CT_small.dcm", tmp_path / "out", cluster, str(script))
    assert (done.returncode, done.stderr) == (0, "")
