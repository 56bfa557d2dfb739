"""From store to store where it isn't S3: Azure's emulator, and Google's client against a server that speaks its dialect."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import dataclass

import numpy as np
import obstore
import pytest
from click.testing import CliRunner
from obstore.store import AzureStore, GCSStore

import pipeline
from pipeline.cli import main
from pipeline.config import from_dict
from pipeline.errors import ConfigError, OutputError
from pipeline.output import lock_holder, object_lock
from pipeline.output.lock import hold_lock
from pipeline.storage import OutputDir, open_source, place
from pipeline.verify import verify
from support.corpora import REPOSITORY
from support.dicom_bytes import DELIMITER, encapsulated_file, encapsulated_value, native_file, rle_frame
from support.fault_proxy import FaultProxy

AZURITE = REPOSITORY / "scripts" / "services" / "azurite"
HERE = {"kind": "synchronous"}


@dataclass(frozen=True)
class Reached:
    """A bucket or container, how it is configured, and a client of the tests' own; keys are in the environment."""

    url: str
    options: dict
    environment: dict
    store: object

    def put(self, name, data):
        obstore.put(self.store, name, data)

    def read(self, prefix):
        names = [meta["path"] for page in obstore.list(self.store, prefix) for meta in page]
        return {name.removeprefix(f"{prefix}/"): bytes(obstore.get(self.store, name).bytes()) for name in names}


@pytest.fixture(scope="module")
def az(tmp_path_factory):
    folder = tmp_path_factory.mktemp("azurite")
    environment = {**os.environ, "PYTHON": sys.executable}
    started = subprocess.run(
        [AZURITE, "start", folder], env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    if started.returncode == 3:
        pytest.skip(started.stderr.strip())
    assert started.returncode == 0, started.stderr
    given = dict(line.split("=", 1) for line in started.stdout.splitlines())
    endpoint, account = given["AZURE_STORAGE_ENDPOINT"], given["AZURE_STORAGE_ACCOUNT_NAME"]
    key = given["AZURE_STORAGE_ACCOUNT_KEY"]
    store = AzureStore(
        given["CONTAINER"],
        endpoint=endpoint,
        account_name=account,
        account_key=key,
        client_options={"allow_http": True},
    )
    options = {"endpoint": endpoint, "allow_http": True, "options": {"account_name": account}}
    addressed = {name: value for name, value in given.items() if name.startswith("AZURE_")}
    yield Reached(f"az://{given['CONTAINER']}", options, addressed, store)
    subprocess.run([AZURITE, "stop", folder], check=True, timeout=300)


@pytest.fixture(scope="module")
def gs(s3):
    """Google's XML API is S3's dialect but for the signature: SeaweedFS gets requests without, to its public bucket."""
    with FaultProxy(s3.port, without="authorization") as proxy:
        address = f"http://127.0.0.1:{proxy.port}"
        store = GCSStore("public", base_url=address, bearer_token="t", client_options={"allow_http": True})  # noqa: S106
        environment = {"GOOGLE_BASE_URL": address, "GOOGLE_ALLOW_HTTP": "true", "GOOGLE_BEARER_TOKEN": "hush-hush"}
        yield Reached("gs://public", {"endpoint": address, "allow_http": True}, environment, store)


@pytest.fixture(params=["az", "gs"])
def reached(request, monkeypatch):
    store = request.getfixturevalue(request.param)
    for name, value in store.environment.items():
        monkeypatch.setenv(name, value)
    return store


def values(source, out, storage=None):
    return {
        "source": {"paths": [str(source)]},
        "output": {"path": str(out), "shard": "64 KiB"},
        "cluster": HERE,
        "storage": storage or {},
    }


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    folder = tmp_path_factory.mktemp("archive")
    pixels = np.random.default_rng(0).integers(0, 255, (40, 64, 64), np.uint8)
    options = {"rows": 64, "columns": 64, "frames": 40}
    native = native_file(pixels.tobytes(), vr="OB", SOPInstanceUID="1.2.4.1", **options)
    (folder / "a cine.dcm").write_bytes(native)
    items = encapsulated_value([rle_frame(plane) for plane in pixels], delimiter=DELIMITER)
    (folder / "slide.dcm").write_bytes(encapsulated_file(items, SOPInstanceUID="1.2.4.2", **options))
    (folder / "notes.txt").write_bytes(b"nothing to see")
    (folder / "empty.dcm").write_bytes(b"")
    return folder


def images_of(files):
    return {name: data for name, data in files.items() if name.startswith("images.zarr/")}


def test_from_store_to_store_equals_disk_to_disk(reached, archive, tmp_path):
    for path in archive.iterdir():
        reached.put(f"archive/{path.name}", path.read_bytes())
    source, out, disk = f"{reached.url}/archive/", f"{reached.url}/out", tmp_path / "out"
    pipeline.run(from_dict(values(archive, disk)))
    summary = pipeline.run(from_dict(values(source, out, reached.options)))
    assert summary.status_counts["converted", ""] == 2
    assert summary.count("rejected") == 2
    left = reached.read("out")
    expected = {p.relative_to(disk).as_posix(): p.read_bytes() for p in disk.rglob("*") if p.is_file()}
    assert images_of(left) == images_of(expected)
    secrets = [value.encode() for name, value in reached.environment.items() if name.endswith(("KEY", "TOKEN"))]
    assert secrets
    assert not [name for name, data in left.items() for secret in secrets if secret in data]

    with pipeline.storage_options(**reached.options):
        there, here = pipeline.open(out), pipeline.open(disk)
        assert list(there) == list(here)
        assert len(list(here)) == 2
        for path in here:
            assert here[path].load().identical(there[path].load())
        assert verify(out, source=True, trusting=True, cluster=HERE).problems == []
    # the address by the environment, and nothing left to do
    again = CliRunner().invoke(main, ["resume", out, "--trust-output"], env={"COLUMNS": "180"})
    assert (again.exit_code, "2 converted" in again.output) == (0, True), again.output


def test_objects_are_read_by_ranges_like_files(reached):
    data = bytes(range(256)) * 1000
    reached.put("ranges/some file", data)
    reached.put("ranges/empty", b"")
    with pipeline.storage_options(**reached.options):
        for start, count in ((0, 10), (255_990, 10), (255_990, 100), (256_000, 5), (300_000, 5)):
            with open_source(f"{reached.url}/ranges/some file") as file:
                file.seek(start)
                assert file.read(count) == data[start : start + count]
        with open_source(f"{reached.url}/ranges/empty") as file:
            assert file.read() == b""
        at = place(f"{reached.url}/ranges/some file")
        assert (at.read_last(7), at.read_last(300_000)) == (data[-7:], data)
        assert place(f"{reached.url}/ranges/empty").read_last(7) == b""
        assert place(f"{reached.url}/ranges").children() == ["empty", "some file"]


def test_a_lock_is_renewed_refused_taken_over_and_lost(reached, monkeypatch):
    monkeypatch.setattr(lock_holder, "HEARTBEAT", 0.1)
    monkeypatch.setattr(lock_holder, "SILENCE", 1.0)
    monkeypatch.setattr(object_lock, "SETTLING_UNSURE", 0.5)
    out = f"{reached.url}/locked"
    dead = lock_holder.Mark(lock_holder.Holder("other", 5, 7, "another kernel", ""), "token").to_bytes()
    with pipeline.storage_options(**reached.options):
        lock = place(out) / "ledger/run.lock"
        lock.write_bytes(dead)
        with hold_lock(OutputDir.of(out)):
            with pytest.raises(OutputError, match="another run is writing there"), hold_lock(OutputDir.of(out)):
                pass
            while lock_holder.Mark.of(lock.read_bytes()).beat < 3:
                time.sleep(0.05)
            lock_holder.still_held()
            while (
                not lock_holder.held().lost
            ):  # where conditions don't count, a sign of life that is on its way comes after
                lock.write_bytes(dead)
                time.sleep(0.2)
            with pytest.raises(OutputError, match="this run's lock is gone, or another run's"):
                lock_holder.still_held()
        assert lock.read_bytes() == dead


def test_plain_http_has_to_be_allowed(reached):
    options = {name: value for name, value in reached.options.items() if name != "allow_http"}
    with pytest.MonkeyPatch.context() as patch, pipeline.storage_options(**options):
        for name in reached.environment:
            patch.delenv(name)
        with pytest.raises(ConfigError, match="allow_http"):
            place(f"{reached.url}/none").read_bytes()
