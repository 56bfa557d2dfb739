"""Report of a lost Dask scheduler as one clear error."""

from __future__ import annotations

import logging
from asyncio import CancelledError
from collections.abc import Iterator
from contextlib import contextmanager

from distributed import Client
from distributed.comm import CommClosedError

from pipeline.errors import ClusterError, PipelineError


def scheduler_lost(client: Client) -> ClusterError:
    """Return the error that ends a run whose scheduler is lost."""
    logging.getLogger("distributed.client").addFilter(_is_news)
    address = getattr(client.scheduler, "address", "") or "its address"
    return ClusterError(
        f"the Dask scheduler at {address} was lost: it has ended, or the network to it has failed. Finished work is "
        "recorded: make sure that the scheduler and its workers run, and give the same command again"
    )


@contextmanager
def reaching(client: Client) -> Iterator[None]:
    """Turn errors in the block that a lost scheduler causes into a ClusterError.

    Raises
    ------
    ClusterError
        If the scheduler is lost.
    """
    try:
        yield
    # a client without a scheduler raises many errors: TimeoutError, CommClosedError, RuntimeError, …
    except (OSError, RuntimeError, CancelledError) as error:
        # a question to it may find the connection closed before the client does
        if isinstance(error, PipelineError) or (client.status == "running" and not isinstance(error, CommClosedError)):
            raise
        raise scheduler_lost(client) from error


def _is_news(record: logging.LogRecord) -> bool:
    """Drop the client's log records about failed reconnections, because the error reports the loss."""
    cancelled = record.exc_info and isinstance(record.exc_info[1], CancelledError)
    return not cancelled and "reconnect" not in str(record.msg)
