"""What is made of a scheduler that dies, or can't be reached any more, amid a run."""

from __future__ import annotations

import logging
from asyncio import CancelledError
from collections.abc import Iterator
from contextlib import contextmanager

from distributed import Client

from pipeline.errors import ClusterError, PipelineError


def scheduler_lost(client: Client) -> ClusterError:
    """Return the error that ends a run: whatever the workers are still at, nobody would tell of it."""
    logging.getLogger("distributed.client").addFilter(_is_news)
    address = getattr(client.scheduler, "address", "") or "its address"
    return ClusterError(
        f"the Dask scheduler at {address} was lost: it has ended, or the network to it has failed. What was finished is "
        "recorded: make sure that the scheduler and its workers run, and give the same command again"
    )


@contextmanager
def reaching(client: Client) -> Iterator[None]:
    """Tell errors that come of a lost scheduler as what they are.

    Raises
    ------
    ClusterError
    """
    try:
        yield
    # a client without a scheduler raises what happens to be in its way: TimeoutError, CommClosedError, RuntimeError, …
    except (OSError, RuntimeError, CancelledError) as error:
        if client.status == "running" or isinstance(error, PipelineError):
            raise
        raise scheduler_lost(client) from error


def _is_news(record: logging.LogRecord) -> bool:
    """Drop what the client logs while it tries in vain to connect again: the error says it."""
    cancelled = record.exc_info and isinstance(record.exc_info[1], CancelledError)
    return not cancelled and "reconnect" not in str(record.msg)
