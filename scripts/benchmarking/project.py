"""The project, as a user calls it, on a cluster that is running already."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import dask
import zarr
from distributed import Client, LocalCluster

import pipeline
from benchmarking.inputs import Made
from pipeline.engine.clusters.defaults import dask_defaults


@contextmanager
def cluster(workers: int) -> Iterator[LocalCluster]:
    """Start what ``cluster: {kind: local}`` starts: worker processes with one thread each, Dask set as it sets it."""
    options = {"host": "127.0.0.1", "scheduler_kwargs": {"dashboard_address": "127.0.0.1:0"}, "silence_logs": "ERROR"}
    with (
        dask.config.set(dask_defaults()),
        LocalCluster(n_workers=workers, threads_per_worker=1, dashboard_address=None, **options) as local,
    ):
        yield local


def convert(made: Made, out: str, address: str) -> dict[str, float]:
    """Convert on the scheduler at `address`; returns the seconds of each phase."""
    sources = [made.sources[0].rsplit("/", 1)[0]] if made.input.files else list(made.sources)
    summary = pipeline.convert(sources, out, cluster={"kind": "address", "address": address})
    if summary.exit_code or summary.totals.frames != len(made.places):
        raise RuntimeError(f"{made.input.name}: {summary.status_counts}, {summary.totals.frames} frames")
    return dict(summary.phase_seconds)


def read_back(out: str) -> Iterator[Any]:
    """Yield the stored frames of the only image."""
    (path,) = pipeline.open(out)
    pixels = zarr.open_array(f"{out}/images.zarr/{path}/pixels", mode="r")
    for frame in range(pixels.shape[0]):
        yield pixels[frame]


def warm_up(address: str) -> None:
    """Import on every worker what converting needs, as workers that run for long have done."""
    with Client(address) as client:
        client.run(_import)


def _import() -> None:
    import pipeline.engine.converting  # noqa: F401, PLC0415  for its effect
