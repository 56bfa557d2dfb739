"""Strong scaling: the same input on one worker, on two, … on one for each core."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from time import perf_counter, sleep

from benches.contest import limit, project
from benches.contest.inputs import INPUTS, Made, make
from pipeline.output.flushing import flush
from pipeline.storage import OutputDir


def measure(
    name: str, frames: int, cores: int, folder: Path, say: Callable[[str], None] = print
) -> list[dict[str, float]]:
    """Return frames per second of ``project`` and ``limit``, by ``workers``: powers of two, and all `cores`."""
    (kind,) = (kind for kind in INPUTS if kind.name == name)
    made = make(kind, frames, folder / "scaling")
    check = make(kind, min(frames, 64), folder / "scaling-check")
    out = folder / "scaling-out"
    rows = []
    for workers in sorted({2**power for power in range(cores.bit_length()) if 2**power <= cores} | {cores}):
        row = {"workers": float(workers)}
        with project.cluster(workers) as local:
            row["project"] = _rate(
                lambda made: project.convert(made, str(out), local.scheduler_address), check, made, out
            )
        with ProcessPoolExecutor(workers, get_context("spawn")) as pool:
            list(pool.map(sleep, [0.1] * workers))
            row["limit"] = _rate(lambda made: limit.run(pool, made, str(out)), check, made, out)
        say(f"{workers} worker(s): {row['project']:.0f} frames/s, limit {row['limit']:.0f}")
        rows.append(row)
    shutil.rmtree(folder / "scaling")
    shutil.rmtree(folder / "scaling-check")
    return rows


def _rate(convert: Callable[[Made], object], check: Made, made: Made, out: Path) -> float:
    """Return frames per second; `check` warms the processes up."""
    convert(check)
    shutil.rmtree(out)
    begin = perf_counter()
    convert(made)
    flush(OutputDir.of(out))
    seconds = perf_counter() - begin
    shutil.rmtree(out)
    return len(made.places) / seconds
