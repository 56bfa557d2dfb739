"""A real DICOMweb server as source: what comes by the network equals what lies in files."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pydicom
import pytest
import requests
from click.testing import CliRunner

import pipeline
from pipeline.cli import main
from pipeline.errors import ConfigError, SourceError
from pipeline.storage import check_url, dicomweb, dicomweb_files, find_instances, open_source, storage_options
from support.corpora import REPOSITORY

SCRIPT = REPOSITORY / "scripts" / "services" / "orthanc"
STUDIES = {"1.2.826.0.1.3680043.8.498.1": ("20240101", "CT"), "1.2.826.0.1.3680043.8.498.2": ("20240301", "MR")}


@pytest.fixture(scope="module")
def orthanc(tmp_path_factory):
    """The URL of a server of our own; the script says why there is none."""
    folder = tmp_path_factory.mktemp("orthanc")
    environment = {**os.environ, "PYTHON": sys.executable}
    started = subprocess.run(
        [SCRIPT, "start", folder], env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    if started.returncode == 3:
        pytest.skip(started.stderr.strip())
    assert started.returncode == 0, started.stderr
    yield started.stdout.strip()
    subprocess.run([SCRIPT, "stop", folder], check=True, timeout=300)


@pytest.fixture(scope="module")
def files(tmp_path_factory, pydicom_folder) -> Path:
    """Two studies: a stack, and multi-frame, coloured, compressed and deflated instances."""
    folder = tmp_path_factory.mktemp("files")
    first, second = STUDIES
    for number in range(4):
        write(pydicom_folder / "CT_small.dcm", folder, first, f"{first}.1.{number}", InstanceNumber=number + 1)
    for name in ("rtdose_rle.dcm", "SC_rgb_rle_2frame.dcm", "examples_ybr_color.dcm"):
        write(pydicom_folder / name, folder, second, f"{second}.{len(list(folder.iterdir()))}")
    write(pydicom_folder / "image_dfl.dcm", folder, second, f"{second}.9")
    return folder


def write(source, folder, study, instance, **values):
    ds = pydicom.dcmread(source)
    ds.StudyInstanceUID = study
    ds.StudyDate, modality = STUDIES[study]
    ds.Modality = modality
    ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = instance
    for keyword, value in values.items():
        setattr(ds, keyword, value)
    if "ImagePositionPatient" in ds and "InstanceNumber" in values:
        ds.ImagePositionPatient[2] = float(values["InstanceNumber"])
    ds.save_as(folder / f"{instance}.dcm")


@pytest.fixture(scope="module")
def service(orthanc, files) -> str:
    """The source's URL, with both studies in the server."""
    for path in sorted(files.iterdir()):
        answer = requests.post(f"{orthanc.removesuffix('/dicom-web')}/instances", path.read_bytes(), timeout=10)
        assert answer.json()["Status"] == "Success"
    return f"dicomweb+{orthanc}"


def test_two_studies_equal_their_files(service, files, tmp_path, monkeypatch):
    ours, expected = tmp_path / "dicomweb", tmp_path / "files"
    monkeypatch.setenv("DICOMWEB_TOKEN", "hush-hush")
    pipeline.convert(service, ours, cluster={"kind": "threads", "workers": 2})
    pipeline.convert(files, expected, cluster={"kind": "synchronous"})
    stores = [
        {p.relative_to(out): p.read_bytes() for p in (out / "images.zarr").rglob("*") if p.is_file()}
        for out in (ours, expected)
    ]
    assert len(stores[0]) > 20
    assert stores[0] == stores[1]
    told = CliRunner().invoke(main, ["resume", str(ours), "-vv"])
    texts = {str(path): path.read_bytes() for path in ours.rglob("*") if path.is_file()} | {
        "told": told.output.encode()
    }
    assert told.exit_code == 0, told.output
    assert not [name for name, text in texts.items() if b"hush-hush" in text]
    rows = [pq.read_table(out / "catalog.parquet").to_pylist() for out in (ours, expected)]
    by_uid = [{row["sop_instance_uid"]: row for row in table} for table in rows]
    assert len(by_uid[0]) == len(rows[0]) == 8
    assert by_uid[0].keys() == by_uid[1].keys()
    for uid, row in by_uid[0].items():
        study, series = row["study_instance_uid"], row["series_instance_uid"]
        assert row["source"] == f"{service}/studies/{study}/series/{series}/instances/{uid}"
        other = by_uid[1][uid]
        for name in row.keys() - {"source", "mtime_ns"}:
            assert row[name] == other[name], name
        assert (row["status"], row["file_size"]) == ("converted", Path(other["source"]).stat().st_size)


@pytest.mark.parametrize(
    ("asked", "count"),
    [
        ("?StudyDate=20240101-20240131", 4),
        ("?ModalitiesInStudy=MR", 4),
        ("?Modality=MR&StudyDate=20240201-", 4),
        ("?Modality=CT&InstanceNumber=2", 1),
        ("/studies/1.2.826.0.1.3680043.8.498.1", 4),
        ("/studies/1.2.826.0.1.3680043.8.498.1?InstanceNumber=3", 1),
        ("/studies/1.2.826.0.1.3680043.8.498.1.7", 0),
        ("?PatientID=nobody", 0),
    ],
)
def test_queries(service, asked, count):
    found = list(find_instances(f"{service}{asked}"))
    assert len(set(found)) == len(found) == count


def test_searches_go_on_until_nothing_new_comes(service, monkeypatch):
    monkeypatch.setattr(dicomweb, "PAGE", 3)
    assert len(list(find_instances(service))) == 8


def test_an_instance_is_the_stored_file_in_memory_or_not(service, files, monkeypatch):
    for limit in (1 << 20, 100):
        monkeypatch.setattr(dicomweb_files, "IN_MEMORY", limit)
        for url in find_instances(service):
            with open_source(url) as file:
                assert file.read() == (files / f"{url.rpartition('/')[2]}.dcm").read_bytes()


def test_a_temporary_folder_that_is_full(service, monkeypatch, tmp_path):
    monkeypatch.setattr(dicomweb_files, "IN_MEMORY", 100)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "gone"))
    url = next(iter(find_instances(f"{service}?Modality=CT&InstanceNumber=4")))
    with pytest.raises(SourceError, match=r"gone can't hold the instance .*TMPDIR"):
        open_source(url)


def test_lazily_in_a_notebook(service, files):
    url = next(iter(find_instances(f"{service}?Modality=CT&InstanceNumber=2")))
    expected = pydicom.dcmread(files / f"{url.rpartition('/')[2]}.dcm").pixel_array
    assert np.array_equal(pipeline.open_dicom(url).pixels[0].compute(), expected)


def test_an_instance_that_is_gone(service):
    with pytest.raises(SourceError, match="404") as caught:
        open_source(f"{service}/studies/1.2/series/1.3/instances/1.4")
    assert caught.value.reason == "file_not_found"


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("dicomweb+https://user:hush@host/root", "~/.netrc"),
        ("dicomweb+https://host/root?token=hush", "credentials in the environment"),
        ("dicomweb+http://pacs.example.org/root", "plain http"),
        ("dicomweb+https://host/root?StudyDat=2024", "'StudyDat' is no DICOM keyword"),
        ("dicomweb+https:///root", "name of the bucket is missing|expected dicomweb"),
    ],
)
def test_refused_urls_keep_secrets(url, text):
    with pytest.raises(ConfigError, match=text) as caught:
        next(find_instances(url), None)
    assert "hush" not in str(caught.value)


def test_plain_http_where_it_is_allowed():
    with storage_options(allow_http=True):
        assert dicomweb.parse("dicomweb+http://pacs.example.org/root/studies/1.2").uids == ("1.2",)
    assert check_url("dicomweb+https://host/root?PatientID=1") == "dicomweb+https://host/root?PatientID=1"


class Faulty(BaseHTTPRequestHandler):
    """Fails first, then cuts its answer, then answers; wants a token."""

    asked: list[str]

    def do_GET(self):
        self.asked.append(self.headers.get("Authorization", ""))
        if len(self.asked) == 1:
            self.send_error(503)
            return
        self.send_response(200 if self.asked[-1] == "Bearer open" else 401)
        self.send_header("Content-Type", "multipart/related; boundary=B")
        self.end_headers()
        whole = b"--B\r\nContent-Type: application/dicom\r\n\r\nstored\r\n--B--"
        self.wfile.write(whole[:-20] if len(self.asked) == 2 else whole)

    def log_message(self, *_):
        """Say nothing."""


@pytest.fixture
def faulty(monkeypatch):
    monkeypatch.setattr(dicomweb_files, "_waits", lambda: iter([0.0] * 3))
    Faulty.asked = []
    with ThreadingHTTPServer(("127.0.0.1", 0), Faulty) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"dicomweb+http://127.0.0.1:{server.server_port}/studies/1.1/series/1.2/instances/1.3"
        server.shutdown()


def test_faults_are_retried_and_cut_answers_never_taken(faulty, monkeypatch):
    monkeypatch.setenv("DICOMWEB_TOKEN", "open")
    with open_source(faulty) as file:
        assert file.read() == b"stored"
    assert Faulty.asked == ["Bearer open"] * 3


def test_refused_access_says_where_credentials_come_from(faulty, monkeypatch):
    monkeypatch.setenv("DICOMWEB_TOKEN", "wrong-token")
    with pytest.raises(SourceError, match=r"401.*DICOMWEB_TOKEN.*netrc") as caught:
        open_source(faulty)
    assert "wrong-token" not in str(caught.value)
    assert len(Faulty.asked) == 2
