"""Run zarr's coroutines from synchronous code."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import Any, TypeVar

T = TypeVar("T")


def run(work: Coroutine[Any, Any, T], threads: int = 1) -> T:
    """Run zarr's coroutines with at most `threads` threads working at a time, and wait for the result.

    zarr's own event loop serves the whole process with up to 32 threads, and its limits are global settings. A worker
    has one core per task thread, so each call gets a loop of its own, in a thread of its own because a notebook's thread
    already runs a loop.
    """

    async def limited() -> T:
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(threads, "dcm2zarr-encode"))
        return await work

    with ThreadPoolExecutor(1, "dcm2zarr-store") as thread:
        return thread.submit(copy_context().run, asyncio.run, limited()).result()
