"""Objects that have changed since they were converted: redone as files are, with nothing renamed."""

from __future__ import annotations

import signal
import subprocess
import sys
from dataclasses import replace

import numpy as np
import obstore
import pytest
import yaml

import pipeline
from pipeline import runs, store
from pipeline.config import Cluster, from_dict
from pipeline.runs import stages
from pipeline.storage import OutputDir, remote_requests
from pipeline.verify import file_verdicts, verify
from support.fault_proxy import FaultProxy
from support.series_files import dicom, pixels

STACK = "1.2/1.2.3/stack-1"
HERE = Cluster(kind="synchronous")


def values(source, out, storage=None):
    return {
        "source": {"paths": [str(source)]},
        "output": {"path": str(out), "shard": 600},
        "cluster": {"kind": "synchronous"},
        "storage": storage or {},
        "report": {"images": 0},
    }


@pytest.fixture
def archive(s3):
    """A stack of five slices in an object store, converted."""
    source, out = s3.url(), s3.url()
    for number in range(1, 6):
        s3.put(f"{source}/{number}.dcm", dicom(pixels(number), number))
    pipeline.run(from_dict(values(source, out, s3.options())))
    return source, out


def images_of(files):
    return {name: data for name, data in files.items() if name.startswith("images.zarr/")}


def on_disk(s3, source, folder):
    """What a conversion of the same files on disk leaves."""
    (folder / "in").mkdir()
    for name, data in s3.read(source).items():
        (folder / "in" / name).write_bytes(data)
    pipeline.run(from_dict(values(folder / "in", folder / "out")))
    return images_of(
        {p.relative_to(folder / "out").as_posix(): p.read_bytes() for p in (folder / "out").rglob("*") if p.is_file()}
    )


def check(s3, archive, folder):
    source, out = archive
    left = s3.read(out)
    assert images_of(left) == on_disk(s3, source, folder)
    assert not [name for name in left if name.startswith("plan/aside/")]
    with pipeline.storage_options(**s3.options()):
        found = verify(out, source=True, trusting=True, cluster=HERE)
        assert found.problems == []
        assert {row["verdict"] for row in file_verdicts(found)} == {"equal"}
    assert pipeline.run(from_dict(values(source, out, s3.options()))).unchanged


def test_a_changed_object(s3, archive, tmp_path):
    source, out = archive
    s3.put(f"{source}/3.dcm", dicom(pixels(33), 3))
    assert pipeline.run(from_dict(values(source, out, s3.options()))).exit_code == 0
    check(s3, archive, tmp_path)


def test_a_bucket_that_keeps_all_versions(s3, tmp_path):
    versioned = replace(s3, bucket="public")
    versioned.keep_versions()
    source, out = archive = versioned.url(), versioned.url()
    for number in range(1, 4):
        versioned.put(f"{source}/{number}.dcm", dicom(pixels(number), number))
    described = from_dict(values(source, out, s3.options()))
    assert pipeline.run(described).exit_code == 0
    versioned.put(f"{source}/3.dcm", dicom(pixels(33), 3))
    versioned.delete(f"{source}/1.dcm")
    versioned.put(f"{source}/1.dcm", dicom(pixels(11), 1))
    assert pipeline.run(described).exit_code == 0
    check(versioned, archive, tmp_path)


def test_where_the_server_copies_nothing_the_bytes_travel(s3, archive, tmp_path, monkeypatch):
    source, out = archive
    s3.put(f"{source}/3.dcm", dicom(pixels(33), 3))

    def unknown(*_):
        raise obstore.exceptions.NotSupportedError("no such request")

    monkeypatch.setattr(remote_requests.obstore, "copy", unknown)
    assert pipeline.run(from_dict(values(source, out, s3.options()))).exit_code == 0
    check(s3, archive, tmp_path)


def test_the_old_image_is_there_until_all_of_the_new_one_is(s3, archive, tmp_path, monkeypatch):
    source, out = archive
    before = images_of(s3.read(out))
    s3.put(f"{source}/3.dcm", dicom(pixels(33), 3))
    described = from_dict(values(source, out, s3.options()))
    with monkeypatch.context() as patch:
        patch.setattr(stages, "settle", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            pipeline.run(described)
    assert images_of(s3.read(out)) == before
    copy, left = store.replacing.RemotePlace.copy_to, iter(range(6))

    def dying(one, other):
        if next(left, None) is None:
            raise KeyboardInterrupt
        copy(one, other)

    with monkeypatch.context() as patch:
        patch.setattr(store.replacing.RemotePlace, "copy_to", dying)
        with pytest.raises(KeyboardInterrupt):
            pipeline.run(described)
    with pipeline.storage_options(**s3.options()):
        assert not store.is_image(OutputDir.of(out), STACK)  # closed, not a mixture
    s3.delete(f"{source}/2.dcm")  # the new image is whole, and needs no original any more
    assert pipeline.run(described).exit_code == 0
    s3.put(f"{source}/2.dcm", dicom(pixels(2), 2))
    check(s3, archive, tmp_path)


def test_a_neighbour_that_is_gone(s3, archive):
    source, out = archive
    before = images_of(s3.read(out))
    s3.delete(f"{source}/2.dcm")
    s3.put(f"{source}/3.dcm", dicom(pixels(33), 3))
    summary = pipeline.run(from_dict(values(source, out, s3.options())))
    assert summary.status_counts["converted", "image_frozen"] == 1
    assert images_of(s3.read(out)).items() >= before.items()
    with pipeline.storage_options(**s3.options()):
        found = verify(out, source=True, trusting=True, cluster=HERE)
        assert {problem.code for problem in found.problems} == {"source_gone"}
        assert found.verdicts == {"equal": 4, "gone": 1}
        np.testing.assert_array_equal(store.open_pixels(OutputDir.of(out), STACK)[2], pixels(3)[0])


def test_jobs_of_an_array(s3, archive, tmp_path):
    source, out = archive
    s3.put(f"{source}/3.dcm", dicom(pixels(33), 3))
    with pipeline.storage_options(**s3.options()):
        parts = runs.init(from_dict(values(source, out, s3.options())), partitions=2)
        for number in range(len(parts)):
            runs.convert_partition(out, number, trusting=True)
        assert runs.finalize(out, trusting=True, cluster=HERE).exit_code == 0
    check(s3, archive, tmp_path)


def test_killed_while_it_copies(s3, archive, tmp_path):
    source, out = archive
    s3.put(f"{source}/3.dcm", dicom(pixels(33), 3))
    with FaultProxy(s3.port, delay=0.3, delayed=f"/images.zarr/{STACK}/", slow=0) as proxy:
        file = tmp_path / "config.yaml"
        file.write_text(yaml.safe_dump(values(source, out, s3.options(proxy.port))))
        command = [sys.executable, "-m", "pipeline.cli", "run", str(file)]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while not any(
            r.method == "PUT" and f"{out.rpartition('/')[2]}/images.zarr" in r.target for r in proxy.requests
        ):
            assert process.poll() is None
        process.send_signal(signal.SIGKILL)
        process.wait()
        proxy.delay = 0.0
    assert pipeline.run(from_dict(values(source, out, s3.options()))).exit_code == 0
    check(s3, archive, tmp_path)
