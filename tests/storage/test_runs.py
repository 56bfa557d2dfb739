"""Whole conversions with source and output in an object store: the same bytes as on disk, whatever happens on the way."""

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import yaml
from click.testing import CliRunner

import pipeline
from pipeline.cli import main
from pipeline.config import from_dict
from pipeline.errors import OutputError
from support.dicom_bytes import DELIMITER, encapsulated_file, encapsulated_value, native_file, rle_frame
from support.fault_proxy import FaultProxy

SHARD = "64 KiB"


def instance(number, rows=48, columns=32):
    """A single-frame file of a series."""
    pixels = np.random.default_rng(number).integers(0, 255, (rows, columns), np.uint8)
    uid = f"1.2.3.{number}"
    if number % 2:
        return native_file(pixels.tobytes(), rows=rows, columns=columns, vr="OB", SOPInstanceUID=uid)
    value = encapsulated_value([rle_frame(pixels)], delimiter=DELIMITER)
    return encapsulated_file(value, rows=rows, columns=columns, SOPInstanceUID=uid)


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    """A small archive: a stack, long instances with and without offset table, a copy, a text, a file cut short."""
    folder = tmp_path_factory.mktemp("archive")
    for number in range(1, 21):
        (folder / f"slice-{number:02}.dcm").write_bytes(instance(number))
    pixels = np.random.default_rng(0).integers(0, 255, (120, 64, 64), np.uint8)
    long = native_file(pixels.tobytes(), rows=64, columns=64, frames=120, vr="OB", SOPInstanceUID="1.2.4.1")
    (folder / "cine.dcm").write_bytes(long)
    fragments = [rle_frame(plane) for plane in pixels[:60]]
    tiles = encapsulated_value(fragments)
    (folder / "slide.dcm").write_bytes(
        encapsulated_file(tiles, rows=64, columns=64, frames=60, SOPInstanceUID="1.2.4.2")
    )
    (folder / "copy.dcm").write_bytes(instance(3))
    (folder / "notes.txt").write_bytes(b"nothing to see")
    (folder / "cut.dcm").write_bytes(instance(5).replace(b"1.2.3.5", b"1.2.5.5")[:-500])
    return folder


def values(source, out, storage=None, cluster=None):
    return {
        "source": {"paths": [str(source)]},
        "output": {"path": str(out), "shard": SHARD},
        "cluster": cluster or {"kind": "synchronous"},
        "storage": storage or {},
    }


@pytest.fixture(scope="module")
def on_disk(archive, tmp_path_factory):
    """The result of a synchronous run on disk: every file of images.zarr, and the catalog."""
    out = tmp_path_factory.mktemp("result") / "out"
    pipeline.run(from_dict(values(archive, out)))
    return images_of({p.relative_to(out).as_posix(): p.read_bytes() for p in out.rglob("*") if p.is_file()}), out


def images_of(files):
    return {name: data for name, data in files.items() if name.startswith("images.zarr/")}


def rows_of(catalog, root):
    """What the catalog says, wherever the files lie."""
    table = catalog.drop(columns=["mtime_ns", "message"]).astype(str)
    table["source"] = table["source"].str.removeprefix(f"{root}/")
    return table.sort_values("source").to_dict("records")


@pytest.mark.parametrize("kind", ["synchronous", "threads"])
def test_from_store_to_store_equals_disk_to_disk(s3, archive, on_disk, kind):
    expected, disk = on_disk
    source, out = s3.url(), s3.url()
    s3.upload(archive, source)
    summary = pipeline.run(from_dict(values(source, out, s3.options(), {"kind": kind, **workers(kind)})))
    assert summary.status_counts["converted", ""] == 22
    left = s3.read(out)
    assert images_of(left) == expected
    assert {name.partition("/")[0] for name in left} == {
        *("images.zarr", "catalog.parquet", "images.parquet", "plan", "ledger"),
        *("report.json", "report.html", "run.yaml"),
    }
    with pipeline.storage_options(**s3.options()):
        result = pipeline.open(out)
        here = pipeline.open(disk)
        assert rows_of(result.catalog, source) == rows_of(here.catalog, archive)
        assert list(result) == list(here)
        for path in here:
            assert here[path].load().identical(result[path].load())


def workers(kind):
    return {} if kind == "synchronous" else {"workers": 2}


def test_one_request_in_ten_spoilt_loses_and_doubles_nothing(s3, archive, on_disk):
    expected, _ = on_disk
    source, out = s3.url(), s3.url()
    s3.upload(archive, source)
    with FaultProxy(s3.port, rate=0.1, seed=11, slow=0.2) as proxy:
        summary = pipeline.run(from_dict(values(source, out, s3.options(proxy.port))))
        assert sum(proxy.faults.values()) > 10
    assert summary.status_counts["converted", ""] == 22
    left = s3.read(out)
    assert images_of(left) == expected
    assert not [name for name in left if name.endswith((".part", ".partial"))]


def command(tmp_path, source, out, storage):
    file = tmp_path / "config.yaml"
    file.write_text(yaml.safe_dump(values(source, out, storage)))
    return [sys.executable, "-m", "pipeline.cli", "run", str(file), "--set", "cluster.task_work=64 KiB"]


def test_a_run_killed_midway_goes_on_and_leaves_the_same_and_no_secret(s3, archive, on_disk, tmp_path):
    expected, _ = on_disk
    source, out = s3.url(), s3.url()
    s3.upload(archive, source)
    # Slow enough for the ledger, which is put once a second, to hold some of the work.
    with FaultProxy(s3.port, delay=0.25, delayed="/pixels/c/", slow=0.05) as proxy:
        run = command(tmp_path, source, out, s3.options(proxy.port))
        process = subprocess.Popen(run, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_for(lambda: sum(r.method == "PUT" and "/pixels/c/" in r.target for r in proxy.requests) >= 9, process)
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert "catalog.parquet" not in s3.read(out)
        before, proxy.delay, proxy.rate = len(proxy.requests), 0.0, 0.1
        again = subprocess.run([*run, "-v"], capture_output=True, timeout=600, check=False)
        assert again.returncode == 1, again.stderr.decode()  # the file that is cut short
        shards = {r.target for r in proxy.requests[before:] if r.method == "PUT" and "/pixels/c/" in r.target}
        assert proxy.faults
    left = s3.read(out)
    assert images_of(left) == expected
    assert len(shards) < sum("/pixels/c/" in name for name in expected)
    texts = {**left, "stdout": again.stdout, "stderr": again.stderr}
    for secret in (s3.secret.encode(), os.environ["AWS_ACCESS_KEY_ID"].encode()):
        assert not [name for name, text in texts.items() if secret in text]


def wait_for(condition, process):
    deadline = time.monotonic() + 300
    while not condition():
        assert process.poll() is None, "the run ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_commands_take_urls(s3, archive, monkeypatch):
    source, out = s3.url(), s3.url()
    s3.upload(archive, source)
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{s3.port}")
    monkeypatch.setenv("AWS_ALLOW_HTTP", "true")

    def told(*arguments):
        result = CliRunner().invoke(main, arguments)
        assert result.exit_code == 1, result.output  # for the file that is cut short
        return result.output

    convert = ("convert", source, out, "--cluster", "synchronous", "--where", "Modality=OT")
    assert "22 converted" in told(*convert)
    assert "Nothing to do" in told(*convert)
    assert "3 complete images" in told("inspect", out)
    assert "25 files" in told("inspect", source)
    assert "finished" in told("status", out)
    assert "22 converted" in told("resume", out, "--trust-output", "--set", "cluster.kind=synchronous")
    assert "pixel_data_too_short" in told("inspect", f"{source}/cut.dcm")


def test_objects_are_compared_by_content_where_asked(s3, archive):
    source, out = s3.url(), s3.url()
    names = ("cine.dcm", "slide.dcm", "slice-01.dcm", "slice-02.dcm")
    for name in names:
        s3.put_file(f"{source}/{name}", archive / name)
    described = values(source, out, s3.options())
    described["source"]["hash"] = True
    pipeline.run(from_dict(described))
    before = s3.read(out)["catalog.parquet"]
    time.sleep(1.1)  # the time of change is in whole seconds
    for name in names:
        s3.put_file(f"{source}/{name}", archive / name)
    pipeline.run(from_dict(described))
    assert s3.read(out)["catalog.parquet"] == before
    described["source"]["hash"] = False
    assert pipeline.run(from_dict(described)).unchanged  # the ETags are the same
    described["source"] |= {"hash": True, "changed": "refuse"}
    data = bytearray((archive / "cine.dcm").read_bytes())
    data[-1] ^= 1
    s3.put(f"{source}/cine.dcm", bytes(data))
    with pytest.raises(OutputError, match=r"1 file\(s\) .*cine\.dcm \(other content"):
        pipeline.run(from_dict(described))
