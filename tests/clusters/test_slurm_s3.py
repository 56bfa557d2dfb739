"""SLURM's jobs convert from store to store; one is cancelled, then the driver killed, and the run goes on by its URL."""

from __future__ import annotations

import shutil

import pipeline
from pipeline.verify import verify
from support.disturbed_slurm_run import Disturbed, download, rows
from support.fault_proxy import FaultProxy
from support.identical_results import assert_same_store
from support.varied_files import add_series

NAMES = (
    *("MR_small_RLE.dcm", "JPEG2000.dcm", "693_J2KI.dcm", "rtdose.dcm", "rtdose_rle.dcm", "SC_rgb_rle_2frame.dcm"),
    *("examples_palette.dcm", "examples_ybr_color.dcm", "MR_truncated.dcm", "README.txt"),
)


def test_a_job_and_then_the_driver_are_lost(slurm, s3, pydicom_folder, tmp_path):
    del slurm
    archive, source = tmp_path / "in", s3.url()
    archive.mkdir()
    for name in NAMES:
        shutil.copy2(pydicom_folder / name, archive)
    add_series(archive, pydicom_folder / "CT_small.dcm", range(32), "1.2.3.1")
    s3.upload(archive, source)
    synchronous = tmp_path / "synchronous"
    pipeline.convert(archive, synchronous, cluster={"kind": "synchronous"}, output={"shard": "64 KiB"})

    with FaultProxy(s3.port, delay=0.3, delayed="/pixels/c/") as proxy:
        disturbed = Disturbed(s3, proxy, tmp_path, source, cancel_after=4, kill_after=10)
        disturbed.patient = False
        disturbed.resuming = ("--set", "cluster.workers=1")
        out = disturbed.run()
        assert disturbed.cancelled
    download(s3, out, tmp_path / "out")
    assert_same_store(tmp_path / "out", synchronous)
    assert rows(tmp_path / "out", source) == rows(synchronous, str(archive))
    with pipeline.storage_options(**s3.options()):
        assert verify(out, cluster={"kind": "synchronous"}).problems == []
