"""Any other Dask cluster, named by its class: those of dask-kubernetes, Coiled, dask-gateway and so on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

import dask

from pipeline.config import Cluster
from pipeline.errors import ConfigError
from pipeline.executors.clusters.class_arguments import check_names, parameters
from pipeline.executors.clusters.dask_settings import client_of, settings_behind, tell_left_out
from pipeline.executors.clusters.defaults import dask_defaults
from pipeline.executors.clusters.lingering import lingering
from pipeline.executors.clusters.scaling import limits, scale
from pipeline.executors.clusters.scratch import private_scratch
from pipeline.executors.clusters.security import given, warn_if_open
from pipeline.executors.clusters.workers import await_first, tell_dashboard
from pipeline.executors.executor import Distributed, Executor
from pipeline.executors.progress import Progress
from pipeline.executors.standstill import Surroundings

_REFUSED = {
    "asynchronous": "dcm2zarr always uses false",
    "security": "set cluster.security instead, or name the files in Dask's own configuration",
}


@contextmanager
def started(cluster: Cluster, progress: Progress) -> Iterator[Executor]:
    """Start a cluster of the class, and close it at the end."""
    tell_left_out(progress)
    made_of = arguments(cluster)
    with (
        dask.config.set(dask_defaults()),
        private_scratch(progress),
        lingering() as keep,
        _made(cluster, made_of) as made,
        client_of(made) as client,
    ):
        keep(client.loop)
        warn_if_open(cluster, client, progress)
        scale(made, cluster)
        tell_dashboard(client, progress)
        await_first(client, progress, f"{cluster.class_name} hasn't started any yet")
        wanted = limits(cluster)
        known = Surroundings(progress, memory="Give them more (an argument in cluster.options)")
        yield Distributed(client, workers=wanted[1] * cluster.threads_per_worker if wanted else 0, known=known)


def arguments(cluster: Cluster) -> dict[str, Any]:
    """Return the keyword arguments for the class.

    Raises
    ------
    ConfigError
        If the class doesn't exist, or an argument is unknown.
    """
    known = parameters(cluster_class(cluster.class_name))
    if known is not None:
        check_names(cluster.options, known, _REFUSED, cluster.class_name)
    secure = given(cluster)
    return {**cluster.options, **({"security": secure} if secure else {})}


def cluster_class(name: str) -> Any:
    """Return the class with this dotted name.

    Raises
    ------
    ConfigError
        If the class doesn't exist, or isn't a class of Dask clusters.
    """
    module, _, attribute = name.rpartition(".")
    try:
        cls = getattr(import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        package = module.partition(".")[0].replace("_", "-") or name
        raise ConfigError(
            f"cluster.class_name: there is no class {name!r} ({error}); is its package, such as {package}, installed?"
        ) from error
    if not (isinstance(cls, type) and hasattr(cls, "get_client") and hasattr(cls, "scale")):
        raise ConfigError(
            f"cluster.class_name: {name!r} is no class of Dask clusters, such as distributed.LocalCluster"
        )
    return cls


def _made(cluster: Cluster, options: dict[str, Any]) -> Any:
    try:
        return cluster_class(cluster.class_name)(**options)
    # errors about arguments and settings; any other error is a bug of the class, and shown as such
    except (TypeError, ValueError, OSError, RuntimeError, ImportError, LookupError) as error:
        raise ConfigError(
            f"cluster: {cluster.class_name} could not be started: {error}{settings_behind(error)}"
        ) from error
