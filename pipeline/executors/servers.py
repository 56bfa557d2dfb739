"""Dask's scheduler and workers without their web servers, which tell all other users of a machine what a run is at."""

from __future__ import annotations

import re
from secrets import token_urlsafe
from typing import Any

import dask
import distributed
from tornado.routing import PathMatches, Rule, RuleRouter


class Scheduler(distributed.Scheduler):  # type: ignore[misc] # distributed is untyped
    """Dask's scheduler; only where a dashboard is wanted does it listen for browsers, and answers below one path only.

    Parameters
    ----------
    http_prefix : str
        That path. Dask itself serves below it too, but also a list of all pages, and the way to the first, to whoever asks.
    **options
        Those of :class:`distributed.Scheduler`.
    """

    def __init__(self, *, http_prefix: str, **options: Any) -> None:
        self._path = http_prefix.strip("/")
        super().__init__(http_prefix=http_prefix, **options)

    def start_http_server(self, routes: Any, dashboard_address: str | None, **options: Any) -> None:
        """Listen where the dashboard is to be."""
        if dashboard_address:
            super().start_http_server(routes, dashboard_address, **options)
            below = PathMatches(f"/{re.escape(self._path)}/.*")
            self.http_server.request_callback = RuleRouter([Rule(below, self.http_application)])


class Worker(distributed.Worker):  # type: ignore[misc] # distributed is untyped
    """Dask's worker, which doesn't listen for browsers."""

    def start_http_server(self, routes: Any, dashboard_address: str | None, **options: Any) -> None:
        """Don't."""


def secret_path() -> str:
    """Return a path that nobody guesses: below it is the dashboard, which asks for no password."""
    return token_urlsafe(24)


def link_below(path: str) -> dict[str, str]:
    """Return Dask's configuration with which a dashboard's address is told with its path."""
    link = "distributed.dashboard.link"
    return {link: str(dask.config.get(link)).replace("{port}", "{port}/" + path.strip("/"))}
