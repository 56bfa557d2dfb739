"""Conversions started from odd places work in this process, or one line says what to do; no error of Dask's is shown."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from support.dicom_bytes import native_file

FILES = 2
TASK = """
import itertools, os
import pipeline

number = itertools.count(os.getpid() * 100)

def convert(kind=None):
    options = {"cluster": {"kind": kind}} if kind else {}
    return pipeline.convert("in", f"out-{next(number)}-{kind}", **options).count("converted")
"""
PLACES = {
    "pools that fork and spawn": """
import multiprocessing
if __name__ == "__main__":
    found = set()
    for how in ("fork", "spawn"):
        with multiprocessing.get_context(how).Pool(1) as pool:
            found.add(pool.apply(convert))
    print(*found)
""",
    "a task of a Dask worker": """
from distributed import Client, LocalCluster
if __name__ == "__main__":
    options = {"n_workers": 1, "threads_per_worker": 1, "dashboard_address": ":0", "silence_logs": 50}
    with LocalCluster(**options) as cluster, Client(cluster) as client:
        print(client.submit(convert).result())
        assert client.submit(convert, "synchronous").result() == 2
""",
    "a fork after threads of Dask": """
import os
if __name__ == "__main__":
    convert("threads")
    child = os.fork()
    if not child:
        print(convert(), flush=True)
        os._exit(0)
    os.waitpid(child, 0)
""",
    "an event loop, and threads": """
import asyncio
async def main():
    there = convert("threads")
    return {there, *await asyncio.gather(*(asyncio.to_thread(convert, kind) for kind in ("threads", "synchronous")))}
print(*asyncio.run(main()))
""",
}


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "in").mkdir()
    for number in range(FILES):
        data = native_file(bytes([number] * 16), SOPInstanceUID=f"1.2.{number}")
        (tmp_path / "in" / f"{number}.dcm").write_bytes(data)
    return tmp_path


@pytest.mark.parametrize("code", PLACES.values(), ids=PLACES.keys())
def test_it_works_there(code: str, place: Path) -> None:
    (place / "script.py").write_text(TASK + code, "utf-8")
    command = [sys.executable, "script.py"]
    done = subprocess.run(command, cwd=place, capture_output=True, text=True, check=False, timeout=120)
    assert (done.stdout, done.returncode) == (f"{FILES}\n", 0), done.stderr
    assert "Traceback" not in done.stderr
    assert "distributed" not in done.stderr
