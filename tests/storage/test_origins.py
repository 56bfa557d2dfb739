"""What was given to one server goes to no other, and what lies on a server names nothing elsewhere unless that is allowed."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from pipeline.cli import main
from pipeline.config import from_dict
from pipeline.errors import ConfigError, SourceError
from pipeline.scan import find_files
from pipeline.storage import open_source, storage_options
from pipeline.storage.origins import origin_of
from support.dicom_bytes import native_file
from support.web_server import webserver

INSTANCE = "/studies/1.1/series/1.2/instances/1.3"
SECRET = "hush-hush"  # noqa: S105  one that is no secret


@contextmanager
def service(redirect: str = "", host: str = "127.0.0.1") -> Iterator[tuple[str, list[Any]]]:
    """A DICOMweb service that holds one instance, or redirects; gives its URL and what it was told as credentials."""
    told: list[Any] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            told.append(self.headers.get("Authorization"))
            self.send_response(302 if redirect else 200)
            if redirect:
                self.send_header("Location", redirect + self.path)
            self.send_header("Content-Type", "application/dicom")
            self.end_headers()
            if not redirect:
                self.wfile.write(native_file(bytes(16)))

        def log_message(self, *_):
            """Say nothing."""

    with ThreadingHTTPServer((host, 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://{host}:{server.server_port}", told
        server.shutdown()


def convert(out: Path, *sources: str | Path, settings: tuple[str, ...] = ()) -> tuple[int, dict[str, tuple[str, str]]]:
    given = [part for setting in settings for part in ("--set", setting)]
    arguments = [*map(str, sources), str(out), "--cluster", "synchronous", "--set", "storage.retries=0", *given]
    done = CliRunner().invoke(main, ["convert", *arguments])
    assert (out / "catalog.parquet").exists(), done.output
    table = pq.read_table(out / "catalog.parquet", columns=["source", "status", "reason"]).to_pylist()
    assert SECRET not in done.output
    return done.exit_code, {row["source"]: (row["status"], row["reason"] or "") for row in table}


@pytest.fixture
def token(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DICOMWEB_TOKEN", SECRET)
    monkeypatch.setenv("NETRC", str(tmp_path / "none"))


@pytest.mark.usefixtures("token")
def test_a_token_goes_to_the_service_named_and_to_none_that_a_list_names(tmp_path: Path) -> None:
    with service() as (named, told), service() as (other, drawn):
        evil = f"dicomweb+{other}{INSTANCE}"
        (tmp_path / "list.txt").write_text(f"{evil}\n")
        with webserver(tmp_path) as port:
            for number, given in enumerate((tmp_path / "list.txt", f"http://127.0.0.1:{port}/list.txt")):
                allowed = (f"source.list_origins=['{other}']",)
                _, rows = convert(tmp_path / f"out{number}", f"dicomweb+{named}{INSTANCE}", given, settings=allowed)
                assert rows[evil][0] in {"converted", "skipped"}  # it is a copy of the other, whichever comes first
    assert set(told) == {f"Bearer {SECRET}"}
    assert drawn
    assert set(drawn) == {None}


@pytest.mark.usefixtures("token")
def test_a_token_goes_where_the_environment_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with service() as (first, told), service() as (second, also):
        monkeypatch.setenv("DICOMWEB_TOKEN_FOR", f"https://elsewhere {second}")
        convert(tmp_path / "out", f"dicomweb+{first}{INSTANCE}", f"dicomweb+{second}{INSTANCE}")
    assert (set(told), set(also)) == ({None}, {f"Bearer {SECRET}"})


@pytest.mark.usefixtures("token")
@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can give files to another user")
@pytest.mark.parametrize("command", [("verify", "--source"), ("resume",)])
def test_a_token_goes_nowhere_for_a_result_that_is_somebody_elses(tmp_path: Path, command: tuple[str, ...]) -> None:
    out = tmp_path / "out"
    with service() as (named, told):
        convert(out, f"dicomweb+{named}{INSTANCE}")
        told.clear()
        for path in (out, *out.rglob("*")):
            os.chown(path, 65534, 65534)
        if command == ("resume",):
            (out / "catalog.parquet").unlink()
            next((out / "ledger").iterdir()).unlink()
        done = CliRunner().invoke(main, [*command, str(out), "--trust-output"])
    assert told, done.output
    assert set(told) == {None}


@pytest.mark.usefixtures("token")
def test_a_token_follows_no_redirection(tmp_path: Path) -> None:
    with service() as (other, drawn), service(other) as (named, told):
        _, rows = convert(tmp_path / "out", f"dicomweb+{named}{INSTANCE}")
    assert [status for status, _ in rows.values()] == ["converted"]
    assert (set(told), set(drawn)) == ({f"Bearer {SECRET}"}, {None})


@pytest.mark.usefixtures("token")
def test_a_redirection_to_plain_http_is_refused() -> None:
    with (
        service("http://pacs.invalid") as (named, _),
        storage_options(retries=0),
        pytest.raises(SourceError, match="redirects to plain http"),
    ):
        open_source(f"dicomweb+{named}{INSTANCE}")


@pytest.mark.usefixtures("token")
def test_a_result_of_somebody_else_draws_no_token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its run.yaml names sources, and `resume` asks them."""
    with service() as (named, told):
        out = tmp_path / "out"
        convert(out, f"dicomweb+{named}{INSTANCE}")
        assert set(told) == {f"Bearer {SECRET}"}
        told.clear()
        monkeypatch.setattr("os.geteuid", lambda: (out / "run.yaml").stat().st_uid + 1)
        (out / "plan" / "plan.json").unlink()
        CliRunner().invoke(main, ["resume", str(out)])
        CliRunner().invoke(main, ["verify", str(out), "--source", "--cluster", "synchronous"])
    assert f"Bearer {SECRET}" not in told


def test_a_list_on_a_server_names_nothing_elsewhere(tmp_path: Path) -> None:
    secret = tmp_path / "secret.dcm"
    secret.write_bytes(native_file(bytes(16)))
    served = tmp_path / "served"
    served.mkdir()
    (served / "a.dcm").write_bytes(native_file(bytes(16)))
    with webserver(tmp_path) as elsewhere, webserver(served) as port:
        mine, other = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{elsewhere}/secret.dcm"
        refused = [
            f"file://{secret}",
            f"FILE://{secret}",
            f"file://localhost{secret}",
            other,
            "s3://bucket/a",
            "az://a/b",
        ]
        refused += [f"http://localhost:{port}/a.dcm", f"https://127.0.0.1:{port}/a.dcm", "http://127.0.0.1/a.dcm"]
        (served / "list.txt").write_text("\n".join([*refused, "a.dcm", str(secret), "http://[bad/a", "../secret.dcm"]))
        code, rows = convert(tmp_path / "out", f"{mine}/list.txt")
        assert rows.pop(f"{mine}/a.dcm") == ("converted", "")
        assert rows.pop(f"{mine}/{secret}")[1] == "file_not_found"  # counts from the list's folder
        assert rows.pop(f"{mine}/../secret.dcm")[0] == "failed"
        assert code == 1
        assert len(rows) == len(refused) + 1
        assert set(rows.values()) == {("failed", "list_entry_refused")}
        allowed = (f"source.list_origins=[file, 'http://127.0.0.1:{elsewhere}']",)
        _, rows = convert(tmp_path / "out2", f"{mine}/list.txt", settings=allowed)
        assert {rows[other], rows[str(secret)]} <= {
            ("converted", ""),
            ("skipped", "duplicate"),
        }  # all are the same bytes
        assert rows["s3://bucket/a"][1] == "list_entry_refused"


@pytest.mark.parametrize("kind", ["txt", "csv", "parquet"])
def test_a_bad_entry_is_a_row_and_not_the_end(tmp_path: Path, kind: str) -> None:
    (tmp_path / "good.dcm").write_bytes(native_file(bytes(16)))
    bad = [
        f"https://user:{SECRET}@host/a.dcm",
        "gopher://x/y",
        "https:///a",
        "s3://",
        f"https://h/a?sig={SECRET}",
        "a" * 300,
    ]
    bad += ["dicomweb+https://host/?Nonsense=1", "x" * 200_000, "http://127.0.0.1:99999/a", "az://nowhere/prefix/"]
    bad += [] if kind == "txt" else ["a\nb"]
    entries = ["good.dcm", *bad, "./good.dcm"]
    file = tmp_path / f"list.{kind}"
    if kind == "parquet":
        pq.write_table(pa.table({"path": [*entries, "n\0ul"]}), file)
    else:
        file.write_text("\n".join(["path", *(f'"{entry}"' for entry in entries)] if kind == "csv" else entries))
    code, rows = convert(tmp_path / "out", file)
    assert code == 1
    assert rows.pop(str(tmp_path / "good.dcm"))[0] == "converted"
    assert len(rows) == len(bad) + (kind == "parquet")
    assert {status for status, _ in rows.values()} == {"failed"}
    assert rows["gopher://x/y"][1] == "list_entry_unusable"
    assert not any(SECRET in source for source in rows)


def test_a_link_out_of_the_file_set_is_not_followed(tmp_path: Path, pydicom_folder: Path) -> None:
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "X").write_bytes(native_file(bytes(16)))
    folder = tmp_path / "set"
    (folder / "IN").mkdir(parents=True)
    (folder / "IN" / "X").write_bytes(native_file(bytes(16)))
    (folder / "DIR").symlink_to(tmp_path / "secret")
    (folder / "FILE").symlink_to(tmp_path / "secret" / "X")
    (folder / "NEAR").symlink_to("IN")
    (folder / "dangling").symlink_to(tmp_path / "nowhere")
    from scan.test_dicomdir import directory_with  # noqa: PLC0415  what makes one

    ids = (["DIR", "X"], ["FILE"], ["file"], ["NEAR", "X"], ["dir", "x"], ["DANGLING"])
    directory_with(folder / "DICOMDIR", pydicom_folder / "dicomdirtests" / "DICOMDIR", *ids)
    found = {Path(f.source).relative_to(folder).as_posix(): f.problem for f in find_files([str(folder / "DICOMDIR")])}
    assert found == {
        **dict.fromkeys(("DIR/X", "FILE", "dangling"), "outside_file_set"),
        **dict.fromkeys(("NEAR/X", "DICOMDIR"), ""),
    }
    linked = tmp_path / "link"
    linked.symlink_to(folder)
    assert [f.problem for f in find_files([str(linked / "DICOMDIR")])].count("") == 2


@pytest.mark.parametrize("name", ["https://", "host", "/a/b", "https://user@host", "", "https://host:port"])
def test_what_is_no_origin(name: str) -> None:
    with pytest.raises(ConfigError, match="list_origins"):
        from_dict({"source": {"paths": ["a"], "list_origins": [name]}, "output": {"path": "b"}})


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("HTTPS://Host/a", "https://host:443"),
        ("dicomweb+http://host:80/x", "http://host:80"),
        ("https://host:8443", "https://host:8443"),
        ("http://[::1]:80/", "http://::1:80"),
        ("s3://Bucket/a", "s3://Bucket"),
        ("/a/b", "file"),
        ("http://[::1", ""),
    ],
)
def test_origins(url: str, origin: str) -> None:
    assert origin_of(url) == origin
