"""A running Dask scheduler."""

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
"""Seconds to wait for an answer at an address; if nothing listens there, the error comes at once."""


@contextmanager
def connected(cluster: Cluster, progress: Progress) -> Iterator[Executor]:
    """Use the scheduler at ``cluster.address`` with its present and future workers."""
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
        problem = _unreachable(cluster, f"the server there said nothing for {CONNECT_SECONDS} s")
    except (FileNotFoundError, PermissionError, ImportError, LookupError, AttributeError) as error:
        message = (
            f"cluster: Dask's client could not be started: {type(error).__name__}: {error}{settings_behind(error)}"
        )
        problem = ConfigError(message)
    except OSError as error:
        problem = _unreachable(cluster, f"{error}{settings_behind(error, certain=True)}")
    except (ValueError, TypeError) as error:  # an invalid address, or invalid certificates or settings
        problem = ConfigError(_no_answer(cluster, f"{error}{settings_behind(error)}"))
    except Exception as error:  # noqa: BLE001  Dask tries to parse the bytes of another kind of server
        hint = settings_behind(error, certain=True)
        problem = _unreachable(cluster, f"the server there isn't a Dask scheduler: {type(error).__name__}{hint}")
    # Collecting the rest of the client stops a thread, which would deadlock during the start of the next client.
    gc.collect()
    raise problem


def _greet(address: str, security: Security | None) -> None:
    """Check that a scheduler answers, because Dask's client waits forever for the handshake, whatever its timeout."""

    async def greet() -> None:
        arguments = (security or Security()).get_connection_args("client")
        comm = await connect(address, timeout=CONNECT_SECONDS, **arguments)
        comm.abort()

    with ThreadPoolExecutor(1, "dcm2zarr-greet") as thread:  # in a notebook, this thread already has an event loop
        thread.submit(asyncio.run, asyncio.wait_for(greet(), CONNECT_SECONDS)).result()


def _refused(address: str) -> str:
    """Return why nothing listens at an address; empty if something may. Dask itself would retry until its timeout."""
    try:
        host, port = parse_host_port(address.partition("://")[2])
        socket.create_connection((host, port), timeout=CONNECT_SECONDS).close()
    except (ConnectionRefusedError, socket.gaierror, TimeoutError) as error:
        return error.strerror or "no answer"
    except (OSError, ValueError):  # address types and networks that only Dask supports
        return ""
    return ""


def _unreachable(cluster: Cluster, problem: str) -> PipelineError:
    return ClusterError(_no_answer(cluster, problem), reason="scheduler_unreachable")


def _no_answer(cluster: Cluster, problem: str) -> str:
    return (
        f"cluster.address: no Dask scheduler answers at {cluster.address!r} ({problem}): check the address, start one "
        "with 'dask scheduler' and 'dask worker', or use cluster.kind: local"
    )
