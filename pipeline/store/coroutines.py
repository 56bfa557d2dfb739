"""Running zarr's coroutines from code that waits for the result."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import Any, TypeVar

T = TypeVar("T")


def run(work: Coroutine[Any, Any, T], threads: int = 1) -> T:
    """Run zarr's coroutines with at most `threads` threads at work at a time, and wait for the result.

    zarr's own event loop serves the whole process with up to 32 threads, and its limits are global settings. A worker
    has one core a task thread, so each call gets a loop and a thread of its own; the loop in a thread, too, because a
    notebook's thread already runs one.
    """

    async def limited() -> T:
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(threads, "dcm2zarr-encode"))
        return await work

    with ThreadPoolExecutor(1, "dcm2zarr-store") as thread:
        return thread.submit(copy_context().run, asyncio.run, limited()).result()
