"""Another user of this machine who tries every way into a run. Started by root, this program becomes nobody first.

Reads ``{"ports": [...], "paths": [...]}`` as JSON from its standard input, and prints one line for each success.
"""

from __future__ import annotations

import asyncio
import encodings.idna  # noqa: F401  for sockets; nobody may not read where Python is installed
import json
import os
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterable, Iterator
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any

import psutil
import trustme

NOBODY = 65534
SECONDS = 20
PAGES = ("/", "/status", "/metrics", "/health", "/info/main/workers.html", "/json/counts.json")


def listening(known: Iterable[tuple[str, int]] = ()) -> set[tuple[str, int]]:
    """Return the ports on which this process and its children listen, except known ones."""
    processes = [psutil.Process(), *psutil.Process().children(recursive=True)]
    found = [one for process in processes for one in process.net_connections("inet") if one.status == "LISTEN"]
    return {(one.laddr.ip, one.laddr.port) for one in found} - set(known)


def attack(ports: Iterable[int], paths: Iterable[str] = (), *, goes_in: bool = False) -> list[str]:
    """Let the other user try; return the successes. Without `goes_in`, an open port alone counts already."""
    asked = json.dumps({"ports": sorted(ports), "paths": list(paths), "goes_in": goes_in})
    done = subprocess.run([sys.executable, __file__], input=asked, stdout=subprocess.PIPE, text=True, check=True)
    told = done.stdout.splitlines()
    assert told.pop(0) == f"I am {NOBODY}"
    return told


def main() -> None:
    asked = json.load(sys.stdin)
    own = self_made()
    if asked["goes_in"]:  # which takes longer to import than all the rest
        import distributed.protocol.pickle  # noqa: F401, PLC0415
    os.setgroups([])
    os.setgid(NOBODY)
    os.setuid(NOBODY)
    print("I am", os.getuid())  # noqa: T201
    for port in asked["ports"]:
        for told in doors(port, own, goes_in=asked["goes_in"]):
            print(told)  # noqa: T201
    for path in asked["paths"]:
        if can_look_into(Path(path)):
            print("looked into", path)  # noqa: T201


def self_made() -> ssl.SSLContext:
    """Return a certificate that the other user has made, and accepts from anybody."""
    context = without_certificate()
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    return context


def without_certificate() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def doors(port: int, own: ssl.SSLContext, *, goes_in: bool) -> Iterator[str]:
    """Yield what a port allows its caller: without TLS, without a certificate, and with a self-made one."""
    ways: dict[str, dict[str, Any]] = {
        "tcp": {},
        "tls": {"ssl_context": own},
        "tls without certificate": {"ssl_context": without_certificate()},
    }
    for way, options in ways.items():
        begins = first_bytes(port, options.get("ssl_context"))
        if begins.startswith(b"HTTP"):
            break
        if is_greeting(begins):
            yield (
                asyncio.run(run_code(f"{way.split()[0]}://127.0.0.1:{port}", options)) if goes_in else f"open by {way}"
            )
            return
    yield from (f"read {page}" for page in PAGES if can_read(port, page))


def first_bytes(port: int, context: ssl.SSLContext | None) -> bytes:
    """Return a server's answer to a web browser's request; empty if it hangs up."""
    try:
        with socket.create_connection(("127.0.0.1", port), SECONDS) as plain:
            talk = context.wrap_socket(plain) if context else plain
            talk.sendall(b"GET /no-such-page HTTP/1.0\r\n\r\n" + bytes(64))
            return talk.recv(8)
    except OSError:
        return b""


def is_greeting(begins: bytes) -> bool:
    """Return whether one of Dask's servers talks to its caller: it begins, with the length of a short message."""
    return 0 < int.from_bytes(begins, "little") < 2**20


async def run_code(address: str, connection: dict[str, Any]) -> str:
    """Make a scheduler, a worker or a nanny call a function, each in its own way."""
    from distributed import rpc  # noqa: PLC0415
    from distributed.protocol.pickle import dumps  # noqa: PLC0415

    async with rpc(address, connection_args=connection, timeout=SECONDS) as one:
        kind = (await one.identity())["type"]
        run = one.run_function if kind == "Scheduler" else one.run
        answer = await run(function=dumps(os.getuid), args=dumps(()), kwargs=dumps({}))
        return f"ran code in a {kind} as {answer['result']}"


def can_read(port: int, page: str) -> bool:
    """Return whether there is a web page."""
    connection = HTTPConnection("127.0.0.1", port, timeout=SECONDS)
    try:
        connection.request("GET", page)
        return connection.getresponse().status in range(200, 400)
    except (OSError, HTTPException):
        return False


def can_look_into(path: Path) -> bool:
    """Return whether a file can be read, or a folder be listed."""
    try:
        _ = list(path.iterdir()) if path.is_dir() else path.read_bytes()
    except PermissionError:
        return False
    return True


if __name__ == "__main__":
    main()
