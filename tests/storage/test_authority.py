"""Servers whose certificate an authority of one's own has signed, as hospitals have them."""

from __future__ import annotations

import shutil
import ssl
import subprocess
import sys
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import trustme

import pipeline
from pipeline.storage.dicomweb import session_of

OPTIONS: dict[str, Any] = {"cluster": {"kind": "synchronous"}}


@pytest.fixture
def server(tmp_path: Path, pydicom_folder: Path) -> Iterator[str]:
    """A folder with one file, served by TLS; gives its URL. The authority's certificate is in ``authority.pem``."""
    folder = tmp_path / "served"
    folder.mkdir()
    shutil.copy(pydicom_folder / "CT_small.dcm", folder)
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "authority.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)

    class Handler(SimpleHTTPRequestHandler):
        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments, directory=str(folder))

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("localhost", 0), Handler) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"https://localhost:{server.server_port}"
        server.shutdown()


def test_it_is_trusted_once_it_is_named(server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    refused = pipeline.convert(f"{server}/CT_small.dcm", tmp_path / "out", **OPTIONS)
    assert refused.exit_code == 1
    (failure,) = refused.failures
    assert failure.reason == "unreadable"
    assert "isn't trusted (UnknownIssuer)" in failure.message
    assert "SSL_CERT_FILE" in failure.message
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authority.pem"))
    # the library reads the variable once; as users do, the same command is given again in another process
    again = [sys.executable, "-m", "pipeline.cli", "convert", f"{server}/CT_small.dcm", str(tmp_path / "out")]
    done = subprocess.run([*again, "--cluster", "synchronous"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    with session_of(0, server).get(f"{server}/CT_small.dcm", timeout=10) as answer:
        assert answer.content[128:132] == b"DICM"
