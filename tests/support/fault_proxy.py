"""A proxy between a client and an HTTP server that counts bytes, and spoils a share of the requests in five ways."""

from __future__ import annotations

import asyncio
import contextlib
import random
import threading
from collections import Counter
from dataclasses import dataclass, field

FAULTS = ("error", "reset_before", "reset_after", "cut", "slow")
"""An answer of 503; a reset before the request is passed on, or after the server has executed it; half a body; a
slow answer."""
_PIECE = 1 << 16
_BAD = b"HTTP/1.1 503 Slow Down\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


@dataclass
class Request:
    """One request, as it arrived."""

    method: str
    target: str
    range: str
    sent: int = 0
    """Bytes of the answer, head and body, that were sent to the client."""
    fault: str = ""


@dataclass
class FaultProxy:
    """Forwards to a server on loopback; a context manager. One request per connection."""

    upstream: int
    """The server's port."""
    rate: float = 0.0
    """Share of the requests to spoil."""
    made: tuple[str, ...] = FAULTS
    """The kinds of faults, all equally likely."""
    seed: int = 0
    slow: float = 0.3
    """Additional seconds of a slow answer."""
    delay: float = 0.0
    """Additional seconds of the answers …"""
    delayed: str = ""
    """… to requests whose target contains this."""
    withheld: tuple[str, ...] = ()
    """Requests whose target contains one of these are executed, but not answered while it is in this set."""
    without: str | tuple[str, ...] = ""
    """Headers, in lower case, that aren't passed on."""
    unknown: tuple[str, ...] = ()
    """Headers, in lower case, whose requests are answered with 501."""
    requests: list[Request] = field(default_factory=list)
    port: int = 0

    @property
    def sent(self) -> int:
        """Bytes of all answers."""
        return sum(request.sent for request in self.requests)

    @property
    def faults(self) -> Counter[str]:
        """How often each fault occurred."""
        return Counter(request.fault for request in self.requests if request.fault)

    def __enter__(self):
        self._random = random.Random(self.seed)  # noqa: S311  repeatable, not secret
        self._serving = set()  # asyncio itself holds its tasks so weakly that they can vanish while they wait
        self._loop = asyncio.new_event_loop()
        server = self._loop.run_until_complete(asyncio.start_server(self._serve, "127.0.0.1", 0))
        self.port = server.sockets[0].getsockname()[1]
        self._server = server
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_):
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    async def _end(self):
        self._server.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        await asyncio.sleep(0.05)  # transports close in the next rounds of the loop

    async def _serve(self, reader, writer):
        task = asyncio.current_task()
        self._serving.add(task)
        try:
            await self._pass_on(reader, writer)
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            self._serving.discard(task)
            with contextlib.suppress(OSError):
                writer.close()

    async def _pass_on(self, reader, writer):
        head = await reader.readuntil(b"\r\n\r\n")
        request, headers = _parse(head)
        self.requests.append(request)
        request.fault = self._random.choice(self.made) if self._random.random() < self.rate else ""
        if request.fault == "reset_before":
            writer.transport.abort()
            return
        if "100-continue" in headers.get("expect", ""):
            writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        if any(name in headers for name in self.unknown):
            writer.write(_BAD.replace(b"503 Slow Down", b"501 Not Implemented"))
            await writer.drain()
            return
        if request.fault == "error":
            writer.write(_BAD)
            await writer.drain()
            return
        up_reader, up_writer = await asyncio.open_connection("127.0.0.1", self.upstream)
        try:
            up_writer.write(_closing(head, self.without) + body)
            await up_writer.drain()
            answer = await up_reader.readuntil(b"\r\n\r\n")
            if request.fault == "reset_after":
                await up_reader.read()
                writer.transport.abort()
                return
            late = self.delay if self.delayed in request.target else 0
            await asyncio.sleep(late + (self.slow if request.fault == "slow" else 0))
            while any(part in request.target for part in self.withheld):  # noqa: ASYNC110  another thread's tuple
                await asyncio.sleep(0.05)
            await self._answer(request, answer, up_reader, writer)
        finally:
            up_writer.close()

    async def _answer(self, request, answer, up_reader, writer):
        length = int(_headers(answer).get("content-length", 0)) if request.method != "HEAD" else 0
        writer.write(answer)
        request.sent += len(answer)
        left = length // 2 if request.fault == "cut" else None
        while (left is None or left > 0) and (piece := await up_reader.read(_PIECE)):
            kept = piece if left is None else piece[:left]
            writer.write(kept)
            request.sent += len(kept)
            left = None if left is None else left - len(kept)
            await writer.drain()
        if request.fault == "cut" and length:
            await writer.drain()
            writer.transport.abort()


def _parse(head):
    line, _, _ = head.partition(b"\r\n")
    method, target, _ = line.decode("latin-1").split(" ", 2)
    headers = _headers(head)
    return Request(method, target, headers.get("range", "")), headers


def _headers(head):
    lines = head.decode("latin-1").split("\r\n")[1:]
    return {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines if line)}


def _closing(head, without):
    """The head with Connection: close, so that the answer ends with the connection; without the given headers."""
    names = (without,) if isinstance(without, str) else without
    left_out = tuple(f"{name}:".encode() for name in ("connection", *names) if name)
    lines = [line for line in head.split(b"\r\n")[:-2] if not line.lower().startswith(left_out)]
    return b"\r\n".join([*lines, b"Connection: close", b"", b""])
