"""The commands of array jobs: what they print, and their exit codes."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

import pipeline
from pipeline.cli import main


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments, env={"COLUMNS": "180"})


@pytest.fixture
def config(tmp_path: Path, pydicom_folder: Path) -> Path:
    (tmp_path / "in").mkdir()
    for name in ("CT_small.dcm", "rtdose_rle.dcm"):
        shutil.copy(pydicom_folder / name, tmp_path / "in")
    file = tmp_path / "run.yaml"
    file.write_text("source: {paths: [in]}\noutput: {path: out}\ncluster: {kind: synchronous}\n", "utf-8")
    return file


def test_from_init_to_finalize(config: Path) -> None:
    out = str(config.parent / "out")
    assert invoke("init", str(config), "-q").stdout == "1\n"
    told = invoke("init", str(config), "--partitions", "3").stdout
    assert f"dcm2zarr convert-partition {out} K" in told
    assert told.endswith(f"1 partition → {out}\n")

    early = invoke("finalize", out)
    assert early.exit_code == 3
    assert "Missing in partition 0 (1 of 1 tasks). Run these again, as in --array=0" in early.stderr

    wrong = invoke("convert-partition", out, "1")
    assert wrong.exit_code == 2
    assert "has no partition 1: there are 1, and they count from 0" in wrong.stderr

    done = invoke("convert-partition", out, "0")
    assert done.exit_code == 0
    assert "Partition 0: 1 task, 16 frames stored. Exit code 0: it is done." in done.stdout
    assert "(1 by earlier jobs), 0 frames stored" in invoke("convert-partition", out, "0").stdout

    last = invoke("finalize", out, "--workers", "1")
    assert last.exit_code == 0
    assert "2 converted, 0 failed" in last.stdout
    assert len(list(pipeline.open(out))) == 2


@pytest.mark.parametrize("size", ["many", "0"])
def test_a_size_that_is_none(config: Path, size: str) -> None:
    result = invoke("init", str(config), "--partition-size", size)
    assert result.exit_code == 2
    assert "--partition-size: expected a size" in result.stderr
