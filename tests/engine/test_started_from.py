"""Conversions started from odd places: they work in this process, or one line says what to do. Nothing of Dask's is seen."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from frames.building import native_file

FILES = 2
TASK = """
import sys
import pipeline

def convert(kind=None):
    options = {"cluster": {"kind": kind}} if kind else {}
    return pipeline.convert("in", f"out-{kind}", **options).count("converted")
"""
PLACES = {
    "a pool that forks": """
import multiprocessing
if __name__ == "__main__":
    with multiprocessing.get_context("fork").Pool(1) as pool:
        print(pool.apply(convert))
""",
    "a pool that spawns": """
import multiprocessing
if __name__ == "__main__":
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        print(pool.apply(convert))
""",
    "a task of a Dask worker": """
from distributed import Client, LocalCluster
if __name__ == "__main__":
    with LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=":0", silence_logs=50) as cluster, Client(cluster) as client:
        print(client.submit(convert).result())
""",
    "a task in a thread of Dask": """
from distributed import Client, LocalCluster
if __name__ == "__main__":
    with LocalCluster(n_workers=1, processes=False, dashboard_address=":0", silence_logs=50) as cluster, Client(cluster) as client:
        print(client.submit(convert, "threads").result())
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
    "an event loop": """
import asyncio
async def main():
    print(convert("threads"))
asyncio.run(main())
""",
    "threads": """
from concurrent.futures import ThreadPoolExecutor
with ThreadPoolExecutor(2) as threads:
    first, second = threads.map(convert, ["threads", "synchronous"])
print(min(first, second))
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


def test_a_script_without_a_guard_and_one_from_a_pipe(place: Path) -> None:
    script = TASK + "convert()\n"
    (place / "script.py").write_text(script, "utf-8")
    for given in ({"args": [sys.executable, "script.py"]}, {"args": [sys.executable, "-"], "input": script}):
        done = subprocess.run(**given, cwd=place, capture_output=True, text=True, check=False, timeout=120)
        assert done.returncode == 1, "Python's own: nothing heeds the exception"
        assert "ConfigError: " in done.stderr.splitlines()[-1]
        assert "worker processes" in done.stderr.splitlines()[-1]
    assert not list(place.glob("out*"))
