"""The project, called as a user calls it, on a running cluster."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import dask
import numpy as np
import zarr
from distributed import Client, LocalCluster, SpecCluster

import pipeline
from benches.contest.inputs import Made
from pipeline.config import Cluster
from pipeline.executors.clusters.defaults import dask_defaults
from pipeline.executors.clusters.this_machine import dask_cluster


@contextmanager
def cluster(workers: int) -> Iterator[SpecCluster]:
    """Start the cluster that ``cluster: {kind: local}`` starts, and let clients of this process use its certificate."""
    with dask_cluster(Cluster(kind="local", workers=workers)) as local:
        certificate = local.security.get_tls_config_for_role("client")
        tls = {"ca-file": certificate["ca_file"], "client": {name: certificate[name] for name in ("cert", "key")}}
        with dask.config.set({f"distributed.comm.tls.{name}": value for name, value in tls.items()}):
            yield local


@contextmanager
def plain_cluster(workers: int) -> Iterator[LocalCluster]:
    """Start Dask's own cluster: worker processes with one thread each, the same Dask settings, but unencrypted."""
    options = {"host": "127.0.0.1", "scheduler_kwargs": {"dashboard_address": "127.0.0.1:0"}, "silence_logs": "ERROR"}
    with (
        dask.config.set(dask_defaults()),
        LocalCluster(n_workers=workers, threads_per_worker=1, dashboard_address=None, **options) as local,
    ):
        yield local


def convert(made: Made, out: str, address: str) -> dict[str, float]:
    """Convert on the scheduler at `address`; return the seconds of each phase."""
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
        values = np.asarray(pixels[frame])
        yield np.moveaxis(values, 0, -1) if values.ndim > 2 else values  # noqa: PLR2004  colour is planar


def warm_up(address: str) -> None:
    """Import everything that converting needs on every worker, as in workers that have run for long."""
    with Client(address) as client:
        client.run(_import)


def _import() -> None:
    import pipeline.runs.conversion  # noqa: F401, PLC0415  for its effect
