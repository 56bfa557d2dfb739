"""Steps for every kind of cluster: wait for the first worker, check versions, report the dashboard's address."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import version
from importlib.util import find_spec
from itertools import chain, repeat

from distributed import Client

from pipeline.errors import ClusterError, foreign_text
from pipeline.executors.clusters.dask_settings import LINK, describe_place, settings_of_workers
from pipeline.executors.progress import Progress
from pipeline.executors.scheduler import reaching

PATIENCE = (30, 60, 120, 300)
"""Seconds of waiting for the first worker before each message; the last is repeated."""
PACKAGE = "dcm2zarr"


def tell_dashboard(client: Client, progress: Progress) -> None:
    """Report the dashboard's address, if it exists and bokeh is installed, without which its pages are empty."""
    if find_spec("bokeh") and "dashboard" in client.scheduler_info()["services"]:
        try:
            progress.message(f"Dashboard: {client.dashboard_link}")
        except (KeyError, ValueError, IndexError, AttributeError) as error:
            progress.message(
                f"Dashboard: {LINK} of Dask's settings{describe_place(LINK)} needs a missing value ({foreign_text(error)})"
            )


def await_first(client: Client, progress: Progress, hint: str) -> None:
    """Wait for the first worker, with messages at intervals, and check its version of this package.

    Raises
    ------
    ClusterError
        If it has another version of this package or none (reason ``workers_failed``), or if the scheduler is lost.
    """
    with reaching(client):
        for seconds in _patience():
            try:
                client.wait_for_workers(1, timeout=seconds)
            except TimeoutError:
                progress.message(f"Waiting for the first worker; {hint}{settings_of_workers()}")
            else:
                break
        _check_versions(client)


def _patience() -> Iterator[int]:
    return chain(PATIENCE, repeat(PATIENCE[-1]))


def _check_versions(client: Client) -> None:
    """Compare the versions of all current workers, because another version may have different tasks and results."""
    own = version(PACKAGE)
    try:
        found = client.run(version, PACKAGE, on_error="return")
    except OSError:  # a worker left meanwhile
        return
    for worker, answer in found.items():
        if isinstance(answer, ModuleNotFoundError):
            raise ClusterError(
                f"cluster: the worker {worker} has no {PACKAGE}; install version {own} there", reason="workers_failed"
            )
        if isinstance(answer, str) and answer != own:
            raise ClusterError(
                f"cluster: the worker {worker} has {PACKAGE} {answer}, but this is {own}; install it there",
                reason="workers_failed",
            )
