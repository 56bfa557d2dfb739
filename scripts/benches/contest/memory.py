"""Peak memory of the workers against the size of one multi-frame file."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import Any

from distributed import Client

from benches.contest import project
from benches.contest.dicomfiles import largest_count
from benches.contest.inputs import INPUTS, make

SIZES = (0.25, 1.0, 4.0)
"""Sizes in GiB."""


def measure(
    name: str, folder: Path, workers: int, sizes: tuple[float, ...] = SIZES, say: Callable[[str], None] = print
) -> list[dict[str, float]]:
    """Convert one file of each size, of the input `name`, on fresh worker processes.

    Returns
    -------
    list of dict
        ``gib`` of the file, ``frames``, ``worker_mib`` and ``driver_mib`` at their peaks (VmHWM), ``mb_per_second``
        of decoded frames.
    """
    (kind,) = (kind for kind in INPUTS if kind.name == name)
    probe = make(kind, 4, folder / "probe")
    each = probe.encoded_bytes // 4
    shutil.rmtree(folder / "probe")
    rows = []
    for gib in sizes:
        made = make(kind, largest_count(each, int(gib * 2**30) // each), folder / "memory")
        with project.cluster(workers) as local, Client(local) as client:
            begin = perf_counter()
            project.convert(made, str(folder / "memory-out"), local.scheduler_address)
            seconds = perf_counter() - begin
            worker = max(client.run(peak).values())
        row: dict[str, Any] = {"gib": Path(made.sources[0]).stat().st_size / 2**30, "frames": len(made.places)}
        row |= {"worker_mib": worker / 2**20, "driver_mib": peak() / 2**20}
        row["mb_per_second"] = len(made.places) * made.frame_bytes / seconds / 1e6
        say(f"{row['gib']:.2f} GiB: {row['worker_mib']:.0f} MiB a worker")
        rows.append(row)
        shutil.rmtree(folder / "memory")
        shutil.rmtree(folder / "memory-out")
    return rows


def peak() -> int:
    """Return the peak resident memory of this process in bytes."""
    line = next(line for line in Path("/proc/self/status").read_text("utf-8").splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024
