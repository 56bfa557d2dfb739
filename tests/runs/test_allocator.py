"""The memory allocator of a worker between two frames: the test counts page faults, not seconds."""

import ctypes
import os
import subprocess
import sys

import pytest

FAULTS = """
import resource, sys
import numpy as np
from numcodecs import blosc
from pipeline.tasks.allocator import keep_freed_memory

blosc.use_threads = False
frame = np.random.default_rng(0).integers(0, 4096, (512, 512), np.uint16)
if sys.argv[1] == "kept":
    keep_freed_memory()
blosc.compress(frame, b"zstd", 1, 2)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    blosc.compress(frame, b"zstd", 1, 2)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""

GLIBC = os.name == "posix" and hasattr(ctypes.CDLL(None), "gnu_get_libc_version")


def faults(how: str) -> int:
    """Page faults while compressing twenty slices, in a process with the environment that Dask's nannies set."""
    environment = os.environ | {"MALLOC_TRIM_THRESHOLD_": "65536"}
    command = [sys.executable, "-c", FAULTS, how]
    return int(subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout)


@pytest.mark.skipif(not GLIBC, reason="the settings are those of glibc, which this system doesn't have")
def test_a_frame_finds_the_memory_that_the_one_before_it_freed() -> None:
    assert faults("kept") < faults("as Dask has it") / 10
