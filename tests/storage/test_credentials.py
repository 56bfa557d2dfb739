"""Credentials that an object store refuses: they end a run, and no file is blamed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

import pipeline
from pipeline.errors import CredentialsError, OutputError, PipelineError
from pipeline.runs import conversion
from pipeline.storage import as_place_error, as_resource_error
from support.fault_proxy import FaultProxy
from support.object_stores import Server
from support.series_files import dicom, pixels

EXPIRED = (
    b"<?xml version='1.0'?><Error><Code>ExpiredToken</Code><Message>The provided token has expired.</Message></Error>"
)
DENIED = b"<?xml version='1.0'?><Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"


@pytest.fixture
def refusing() -> Iterator[Callable[[int, bytes], dict[str, Any]]]:
    """A store that answers all requests with one error; gives the options by which it is reached."""
    servers = []

    def start(status: int, body: bytes) -> dict[str, Any]:
        class Handler(BaseHTTPRequestHandler):
            def answer(self) -> None:
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(body)

            do_GET = do_HEAD = do_PUT = do_DELETE = answer  # noqa: N815

            def log_message(self, *_: Any) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return {"endpoint": f"http://127.0.0.1:{server.server_port}", "allow_http": True, "retries": 1}

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture(autouse=True)
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "anyone")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hush")


def convert(source: Path | str, out: Path | str, storage: dict[str, Any]) -> Any:
    return pipeline.convert(source, out, cluster={"kind": "synchronous"}, storage=storage)


@pytest.mark.parametrize(("status", "body"), [(403, EXPIRED), (400, EXPIRED), (401, b"")])
def test_of_the_source_they_end_the_run(tmp_path: Path, refusing: Any, status: int, body: bytes) -> None:
    listed = tmp_path / "list.txt"
    listed.write_text("s3://bucket/1.dcm\ns3://bucket/2.dcm\n", "utf-8")
    with pytest.raises(CredentialsError, match="renew them") as caught:
        convert(listed, tmp_path / "out", refusing(status, body))
    assert (caught.value.reason, caught.value.exit_code) == ("credentials_refused", 3)
    assert not (tmp_path / "out" / "catalog.parquet").exists()
    if body:
        assert "ExpiredToken: The provided token has expired." in str(caught.value)


def test_an_object_that_is_refused_is_a_failed_file(tmp_path: Path, refusing: Any) -> None:
    listed = tmp_path / "list.txt"
    listed.write_text("s3://bucket/1.dcm\n", "utf-8")
    summary = convert(listed, tmp_path / "out", refusing(403, DENIED))
    assert [(one.reason, summary.exit_code) for one in summary.failures] == [("unreadable", 1)]


@pytest.mark.parametrize("body", [EXPIRED, DENIED])
def test_of_the_output_they_end_the_run(tmp_path: Path, refusing: Any, body: bytes) -> None:
    (tmp_path / "1.dcm").write_bytes(dicom(pixels(1)))
    with pytest.raises(PipelineError) as caught:
        convert(tmp_path / "1.dcm", "s3://bucket/out", refusing(403, body))
    assert caught.value.exit_code == 3
    assert caught.value.reason == ("credentials_refused" if body is EXPIRED else "no_permission")


def test_that_expire_while_frames_are_read(
    s3: Server, tmp_path: Path, refusing: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run goes on from there, once they are renewed."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "dcm2zarr-test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", s3.secret)
    source = s3.url()
    for number in range(1, 4):
        s3.put(f"{source}/{number}.dcm", dicom(pixels(number), number))
    convert_task, expired = conversion.convert, refusing(403, EXPIRED)
    with FaultProxy(s3.port) as proxy:
        options = {**s3.options(proxy.port), "retries": 1}

        def too_late(*arguments: Any, **given: Any) -> Any:
            proxy.upstream = int(expired["endpoint"].rpartition(":")[2])
            return convert_task(*arguments, **given)

        with monkeypatch.context() as patch:
            patch.setattr(conversion, "convert", too_late)
            with pytest.raises(CredentialsError):
                convert(source, tmp_path / "out", options)
        proxy.upstream = s3.port
        assert convert(source, tmp_path / "out", options).exit_code == 0


@pytest.mark.parametrize("error", [CredentialsError("no"), OutputError("no", reason="disk_full", source="/x")])
def test_an_error_of_ours_is_never_its_own_cause(error: Any) -> None:
    """Dask can't carry such a one between processes."""
    with pytest.raises(PipelineError) as caught:
        raise as_place_error("/x", error) from error
    assert caught.value.__cause__ is error
    assert caught.value is not error
    assert (str(caught.value), caught.value.reason, caught.value.source) == ("no", error.reason, error.source)
    if short := as_resource_error(error):
        assert short is not error
