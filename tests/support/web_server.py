"""A web server on loopback that serves a folder, with byte ranges or without."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import unquote

_PIECE = 1 << 16


class _Handler(BaseHTTPRequestHandler):
    folder: Path
    ranges: bool
    special: dict[str, Callable[[_Handler], tuple[int, dict[str, str], bytes] | None]]

    def do_HEAD(self):
        self._answer(body=False)

    def do_GET(self):
        self._answer(body=True)

    def _answer(self, *, body):
        answer = self.special.get(self.path, lambda _: None)(self)
        if answer is not None:
            self._answer_with(*answer, body=body)
            return
        path = self.folder / unquote(self.path).lstrip("/")
        if not path.is_file():
            self.send_error(404)
            return
        size = path.stat().st_size
        start, stop = 0, size
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", "")) if self.ranges else None
        if asked:
            start, stop = int(asked[1]), min(int(asked[2]) + 1 if asked[2] else size, size)
        self.send_response(206 if asked else 200)
        if asked:
            self.send_header("Content-Range", f"bytes {start}-{stop - 1}/{size}")
        self.send_header("Content-Length", str(stop - start))
        self.send_header("Last-Modified", self.date_time_string(path.stat().st_mtime))
        self.end_headers()
        if body:
            self._send(path, start, stop)

    def _answer_with(self, status, headers, data, *, body):
        self.send_response(status)
        for name, value in {"Content-Length": str(len(data)), **headers}.items():
            if value:
                self.send_header(name, value)
        self.end_headers()
        if body:
            self.wfile.write(data)

    def _send(self, path, start, stop):
        with path.open("rb") as file:
            file.seek(start)
            while start < stop and (piece := file.read(min(_PIECE, stop - start))):
                self.wfile.write(piece)
                start += len(piece)

    def log_message(self, *_):
        pass


class _Server(ThreadingHTTPServer):
    request_queue_size = 128
    daemon_threads = True


@contextmanager
def webserver(folder, *, ranges=True, special=None):
    """Serve `folder`; gives the port.

    `special` has functions by path: given the handler, each returns status, headers and body; None for the file.
    """
    handler = type("Handler", (_Handler,), {"folder": Path(folder), "ranges": ranges, "special": special or {}})
    server = _Server(("127.0.0.1", 0), handler)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)
