"""Dask's scheduler and workers without web servers, which would show a run to all other users of the machine."""

from __future__ import annotations

import re
from secrets import token_urlsafe
from typing import Any

import dask
import distributed
from tornado.routing import PathMatches, Rule, RuleRouter


class Scheduler(distributed.Scheduler):  # type: ignore[misc] # distributed is untyped
    """Dask's scheduler; it listens for browsers only if a dashboard is configured, and answers only below a secret path.

    Parameters
    ----------
    http_prefix : str
        The secret path. Dask itself would also answer outside of it, with a list of all pages and a redirection.
    **options
        Options of :class:`distributed.Scheduler`.
    """

    def __init__(self, *, http_prefix: str, **options: Any) -> None:
        self._path = http_prefix.strip("/")
        super().__init__(http_prefix=http_prefix, **options)

    def start_http_server(self, routes: Any, dashboard_address: str | None, **options: Any) -> None:
        """Listen at the dashboard's address, if it is configured."""
        if dashboard_address:
            super().start_http_server(routes, dashboard_address, **options)
            below = PathMatches(f"/{re.escape(self._path)}/.*")
            self.http_server.request_callback = RuleRouter([Rule(below, self.http_application)])


class Worker(distributed.Worker):  # type: ignore[misc] # distributed is untyped
    """Dask's worker without a web server."""

    def start_http_server(self, routes: Any, dashboard_address: str | None, **options: Any) -> None:
        """Do nothing."""


def secret_path() -> str:
    """Return an unguessable path for the dashboard, which asks for no password."""
    return token_urlsafe(24)


def link_below(path: str) -> dict[str, str]:
    """Return Dask's configuration that adds the path to the dashboard's address in messages."""
    link = "distributed.dashboard.link"
    return {link: str(dask.config.get(link)).replace("{port}", "{port}/" + path.strip("/"))}
