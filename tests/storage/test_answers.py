"""Answers with the status of a success that aren't the file: pages, redirections to them, encodings, wrong lengths."""

from __future__ import annotations

import gzip
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import obstore
import pytest

import pipeline
from pipeline.errors import SourceError
from pipeline.storage import dicomweb_files, find_instances, open_source, storage_options
from support.corpora import pydicom_folder
from support.web_server import webserver

PAGE = b"\xef\xbb\xbf\n<!DOCTYPE html>\n<html><body><form action='/login'>Password</form></body></html>"
HTML = {"Content-Type": "text/html; charset=utf-8"}
DATA = (pydicom_folder() / "CT_small.dcm").read_bytes()


def page(_handler):
    return 200, HTML, PAGE


def page_in_ranges(handler):
    first = int(handler.headers["Range"].removeprefix("bytes=").split("-")[0])
    return 206, {**HTML, "Content-Range": f"bytes {first}-{len(PAGE) - 1}/{len(PAGE)}"}, PAGE[first:]


def error_in_json(_handler):
    return 200, {"Content-Type": "application/json"}, b'{"error": "unauthorized"}'


def encoded(_handler):
    return 200, {"Content-Encoding": "gzip"}, gzip.compress(DATA)


def encoded_unless_asked(handler):
    return None if handler.headers.get("Accept-Encoding") == "identity" else encoded(handler)


def cut(_handler):
    return 200, {"Content-Length": str(len(DATA))}, DATA[:-100]


def other_range(_handler):
    return 206, {"Content-Range": f"bytes 100-199/{len(DATA)}"}, DATA[100:200]


def other_length(_handler):
    return 206, {"Content-Range": f"bytes 0-{len(DATA) - 1}/{len(DATA)}"}, DATA[:1000]


def unmeasured(_handler):
    return 200, {"Content-Length": ""}, DATA


def called_a_page(handler):
    """A file that the server calls a page, because it knows no better."""
    asked = handler.headers.get("Range", "")
    if not asked:
        return 200, HTML, DATA
    first, last = map(int, asked.removeprefix("bytes=").split("-"))
    last = min(last, len(DATA) - 1)
    return 206, {**HTML, "Content-Range": f"bytes {first}-{last}/{len(DATA)}"}, DATA[first : last + 1]


def moved_to(url):
    return lambda _handler: (302, {"Location": url}, b"")


class Sometimes:
    """A page the first two times, then the file."""

    asked = 0

    def __call__(self, handler):
        self.asked += 1
        return page(handler) if self.asked < 3 else None


@pytest.fixture
def folder(tmp_path):
    inside = tmp_path / "served"
    inside.mkdir()
    (inside / "readme.html").write_bytes(PAGE)
    for name in ("unless", "portal"):
        (inside / f"{name}.dcm").write_bytes(DATA.replace(b"1.3.6.1.4.1.5962.1.1", name.encode()[:3] * 6 + b".1"))
    return inside


def rows_of(sources, out):
    """What became of each source, by the last part of its name."""
    pipeline.convert(sources, out, cluster={"kind": "synchronous"}, storage={"retries": 2, "timeout": 5})
    rows = pipeline.open(out).catalog[["source", "status", "reason", "message"]].fillna("").to_dict("records")
    return {row["source"].rpartition("/")[2]: row for row in rows}


def test_what_is_not_the_file_fails_and_is_never_called_not_dicom(folder, tmp_path):
    with webserver(folder, special={"/login": page}) as elsewhere:
        special = {
            "/login.dcm": page,
            "/ranges.dcm": page_in_ranges,
            "/json.dcm": error_in_json,
            "/moved.dcm": moved_to(f"http://localhost:{elsewhere}/login"),
            "/encoded.dcm": encoded,
            "/cut.dcm": cut,
            "/range.dcm": other_range,
            "/length.dcm": other_length,
            "/unmeasured.dcm": unmeasured,
        }
        others = {"/unless.dcm": encoded_unless_asked, "/portal.dcm": Sometimes(), "/called.dcm": called_a_page}
        with webserver(folder, special=special | others) as port:
            names = [*special, *others, "/readme.html"]
            rows = rows_of([f"http://127.0.0.1:{port}{name}" for name in names], tmp_path / "out")
    for name in special:
        row = rows[name[1:]]
        assert (row["status"], row["reason"]) == ("failed", "unreadable"), row
    assert "page (text/html) in place of the file" in rows["login.dcm"]["message"]
    assert "page (text/html) in place of the file" in rows["moved.dcm"]["message"]
    assert "Content-Encoding: gzip" in rows["encoded.dcm"]["message"]
    assert "doesn't send the file's length" in rows["unmeasured.dcm"]["message"]
    for name in others:
        assert rows[name[1:]]["status"] == "converted" or rows[name[1:]]["reason"] == "duplicate", rows[name[1:]]
    assert (rows["readme.html"]["status"], rows["readme.html"]["reason"]) == ("rejected", "not_dicom")


def test_a_list_that_is_a_page_is_no_list(folder, tmp_path):
    with (
        webserver(folder, special={"/list.txt": page}) as port,
        pytest.raises(SourceError, match="in place of the file"),
    ):
        rows_of([f"http://127.0.0.1:{port}/list.txt"], tmp_path / "out")


def test_objects_with_an_encoding_and_pages_among_them(s3, tmp_path):
    source = s3.url()
    key = source.removeprefix(f"s3://{s3.bucket}/")
    obstore.put(s3.store, f"{key}/a.dcm", gzip.compress(DATA), attributes={"Content-Encoding": "gzip"})
    obstore.put(s3.store, f"{key}/b.dcm", DATA, attributes={"Content-Encoding": "aws-chunked"})
    obstore.put(s3.store, f"{key}/c.dcm.gz", gzip.compress(DATA), attributes={"Content-Encoding": "gzip"})
    obstore.put(s3.store, f"{key}/readme", PAGE, attributes={"Content-Type": "text/html"})
    pipeline.convert(source, tmp_path / "out", cluster={"kind": "synchronous"}, storage=s3.options())
    rows = (
        pipeline.open(tmp_path / "out").catalog[["source", "status", "reason", "message"]].fillna("").to_dict("records")
    )
    assert {row["source"].rpartition("/")[2]: (row["status"], row["reason"]) for row in rows} == {
        "a.dcm": ("failed", "unreadable"),
        "b.dcm": ("converted", ""),
        "c.dcm.gz": ("rejected", "archive"),
        "readme": ("rejected", "not_dicom"),
    }


class Service(BaseHTTPRequestHandler):
    """A DICOMweb service with four instances, one of which is sound."""

    search: bytes | None = None

    def do_GET(self):
        if "/instances/" in self.path:
            kind, body = self.instance(self.path.rpartition(".")[2])
        else:
            kind, body = self.found()
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def instance(self, number):
        head = b"--B\r\nContent-Type: application/dicom\r\nContent-Length: %d\r\n\r\n" % len(DATA)
        if number == "1":
            return "text/html", PAGE
        if number == "2":
            return 'multipart/related; boundary="B"', head + DATA[:-1000]
        if number == "3":
            return "multipart/related; boundary=B", head + DATA[:-1000] + b"\r\n--B--"
        if number == "4":
            return (
                "multipart/related; boundary=B",
                b'--B\r\nContent-Type: application/json\r\n\r\n{"error": 1}\r\n--B--',
            )
        return "multipart/related; boundary=B", head + DATA + b"\r\n--B--\r\n"

    def found(self):
        if self.search is not None:
            return "text/html", self.search
        level = self.path.partition("?")[0].rpartition("/")[2]
        tag = {"studies": "0020000D", "series": "0020000E", "instances": "00080018"}[level]
        uids = [f"1.2.{n}" for n in range(1, 6)] if level == "instances" else ["1.2"]
        if "offset=0" not in self.path and "offset" in self.path:
            uids = []
        rows = ",".join(f'{{"{tag}": {{"vr": "UI", "Value": ["{uid}"]}}}}' for uid in uids)
        return "application/dicom+json", f"[{rows}]".encode()

    def log_message(self, *_):
        """Say nothing."""


@pytest.fixture
def service(monkeypatch):
    monkeypatch.setattr(dicomweb_files, "_waits", lambda: iter([0.0, 0.0]))
    monkeypatch.setattr(Service, "search", None)
    with ThreadingHTTPServer(("127.0.0.1", 0), Service) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"dicomweb+http://127.0.0.1:{server.server_port}/root"
        server.shutdown()


def test_a_broken_instance_takes_no_other_one_with_it(service, tmp_path):
    rows = rows_of([service], tmp_path / "out")
    assert {name: (row["status"], row["reason"]) for name, row in rows.items()} == {
        **{f"1.2.{number}": ("failed", "unreadable") for number in range(1, 5)},
        "1.2.5": ("converted", ""),
    }
    assert "text/html in place of the instance" in rows["1.2.1"]["message"]
    assert "ends before its last part does" in rows["1.2.2"]["message"]
    assert f"the part has {len(DATA) - 1000} bytes" in rows["1.2.3"]["message"]
    assert "application/json in place of the instance" in rows["1.2.4"]["message"]


@pytest.mark.parametrize("answer", [PAGE, b'{"error": "unauthorized"}', b"[null]", b'[{"0020000D": {"vr": "UI"}}]'])
def test_a_search_that_finds_a_page_finds_not_nothing(service, monkeypatch, answer):
    monkeypatch.setattr(Service, "search", answer)
    with pytest.raises(SourceError, match=r"the server answers the search with (something other|a match without UID)"):
        list(find_instances(service))


def test_another_length_under_the_same_etag_is_no_change_of_the_file(folder):
    lengths = [len(DATA), 30_000]

    def answer(handler):
        first, last = map(int, handler.headers["Range"].removeprefix("bytes=").split("-"))
        length = lengths.pop(0)
        last = min(last, length - 1)
        return 206, {"ETag": '"1"', "Content-Range": f"bytes {first}-{last}/{length}"}, DATA[first : last + 1]

    with (
        webserver(folder, special={"/a.dcm": answer}) as port,
        open_source(f"http://127.0.0.1:{port}/a.dcm") as file,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setattr("pipeline.storage.objects.HEAD", 1000)
        file.read(10)
        file.seek(20_000)
        with pytest.raises(SourceError, match="answers with 30000 bytes") as caught:
            file.read(10)
    assert caught.value.reason == "unreadable"


def test_a_session_that_ends_amid_a_file(folder):
    """The server calls every file a page, so that only the first bytes tell; then a page comes in its place."""
    answers = [called_a_page, page]
    with (
        webserver(
            folder, special={"/a.dcm": lambda handler: answers.pop(0)(handler) if len(answers) > 1 else page(handler)}
        ) as port,
        storage_options(retries=1),
        open_source(f"http://127.0.0.1:{port}/a.dcm") as file,
    ):
        assert file.read(100) == DATA[:100]
        with open_source(f"http://127.0.0.1:{port}/a.dcm") as again:
            again.seek(20_000)
            with pytest.raises(SourceError, match="in place of the file"):
                again.read(100)
