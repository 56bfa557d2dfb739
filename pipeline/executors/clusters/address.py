"""A Dask scheduler that is running already."""

from __future__ import annotations

import asyncio
import gc
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from distributed import Client, Security
from distributed.comm import connect
from distributed.comm.addressing import parse_host_port

from pipeline.config import Cluster
from pipeline.errors import ClusterError, ConfigError, PipelineError
from pipeline.executors.clusters.dask_settings import settings_behind, tell_left_out
from pipeline.executors.clusters.security import given, warn_if_open
from pipeline.executors.clusters.workers import await_first, tell_dashboard
from pipeline.executors.executor import Distributed, Executor
from pipeline.executors.progress import Progress
from pipeline.executors.standstill import Surroundings

CONNECT_SECONDS = 10
"""How long what listens at an address is waited for; where nothing does, that is told at once."""


@contextmanager
def connected(cluster: Cluster, progress: Progress) -> Iterator[Executor]:
    """Use the scheduler at ``cluster.address``, with the workers that it has now and later."""
    tell_left_out(progress)
    with _client(cluster) as client:
        warn_if_open(cluster, client, progress)
        tell_dashboard(client, progress)
        await_first(client, progress, f"start one with: dask worker {cluster.address}")
        yield Distributed(client, known=Surroundings(progress))


def _client(cluster: Cluster) -> Client:
    security = given(cluster)
    refused = _refused(cluster.address)
    if refused:
        raise _unreachable(cluster, refused)
    try:
        _greet(cluster.address, security)
        return Client(cluster.address, timeout=CONNECT_SECONDS, security=security)
    except TimeoutError:
        problem = _unreachable(cluster, f"what listens there said nothing for {CONNECT_SECONDS} s")
    except (FileNotFoundError, PermissionError, ImportError, LookupError, AttributeError) as error:
        told = f"cluster: Dask's client could not be started: {type(error).__name__}: {error}{settings_behind(error)}"
        problem = ConfigError(told)
    except OSError as error:
        problem = _unreachable(cluster, f"{error}{settings_behind(error, certain=True)}")
    except (ValueError, TypeError) as error:  # an address, certificates, or settings, that can't be
        problem = ConfigError(_no_answer(cluster, f"{error}{settings_behind(error)}"))
    except Exception as error:  # noqa: BLE001  another kind of server, whose bytes are taken for a scheduler's
        told = settings_behind(error, certain=True)
        problem = _unreachable(cluster, f"what answers is something else: {type(error).__name__}{told}")
    # What is left of the client stops a thread when it is collected; amid the start of the next one that locks.
    gc.collect()
    raise problem


def _greet(address: str, security: Security | None) -> None:
    """Shake hands, and hang up: Dask's client waits for that for ever, whatever its timeout says."""

    async def greet() -> None:
        arguments = (security or Security()).get_connection_args("client")
        comm = await connect(address, timeout=CONNECT_SECONDS, **arguments)
        comm.abort()

    with ThreadPoolExecutor(1, "dcm2zarr-greet") as thread:  # of a notebook, this one has a loop already
        thread.submit(asyncio.run, asyncio.wait_for(greet(), CONNECT_SECONDS)).result()


def _refused(address: str) -> str:
    """Return why nothing can listen there, empty where something may: Dask would try again until its time is up."""
    try:
        host, port = parse_host_port(address.partition("://")[2])
        socket.create_connection((host, port), timeout=CONNECT_SECONDS).close()
    except (ConnectionRefusedError, socket.gaierror, TimeoutError) as error:
        return error.strerror or "no answer"
    except (OSError, ValueError):  # Dask's own kinds of address, and networks that only its way leads into
        return ""
    return ""


def _unreachable(cluster: Cluster, problem: str) -> PipelineError:
    return ClusterError(_no_answer(cluster, problem), reason="scheduler_unreachable")


def _no_answer(cluster: Cluster, problem: str) -> str:
    return (
        f"cluster.address: no Dask scheduler answers at {cluster.address!r} ({problem}): check the address, start one "
        "with 'dask scheduler' and 'dask worker', or use cluster.kind: local"
    )
