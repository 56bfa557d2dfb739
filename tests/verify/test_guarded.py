"""``verify --source`` with decoders that crash their process."""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from pydicom.data import get_testdata_file

import pipeline
from pipeline.frames import SecondReader
from pipeline.verify import Verification, file_verdicts, guarded, verification, verify

FILES = ("rtdose_rle.dcm", "MR_small_RLE.dcm", "CT_small.dcm")


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("guarded")
    (root / "in").mkdir()
    for name in FILES:
        shutil.copy(get_testdata_file(name, download=False), root / "in")
    limits = {"frame_seconds": 3, "decode_memory": "256 MiB"}
    pipeline.convert(root / "in", root / "out", cluster={"kind": "synchronous"}, limits=limits)
    return root / "out"


def carefully(out: Path, monkeypatch: pytest.MonkeyPatch) -> Verification:
    """Verify like the repeated work of a dead worker, in forks of this process, so that patches hold."""
    monkeypatch.setattr(verification, "check_sources", guarded._carefully)
    return verify(out, source=True, cluster={"kind": "synchronous"})


def rows(found: Verification) -> dict[str, dict[str, Any]]:
    return {Path(row["source"]).name: {**row, "verified": None} for row in file_verdicts(found)}


def die(signal_number: int, *_: object) -> None:
    os.kill(os.getpid(), signal_number)


def hang(*_: object) -> None:
    time.sleep(60)


def eat(*_: object) -> None:
    eaten = []
    while True:
        eaten.append(b"\1" * 2**24)


def test_careful_comparison_finds_the_same(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    quickly = verify(out, source=True, cluster={"kind": "synchronous"})
    assert rows(carefully(out, monkeypatch)) == rows(quickly)
    assert quickly.exit_code == 0


@pytest.mark.parametrize("evil", [partial(die, signal.SIGSEGV), hang, eat], ids=["crash", "hang", "memory"])
def test_a_second_decoder_that_crashes_is_not_used_again(out: Path, monkeypatch: pytest.MonkeyPatch, evil: Any) -> None:
    decode = SecondReader.otherwise

    def otherwise(reader: SecondReader, frames: Any, dtype: Any, by: str) -> Iterator[Any]:
        if "rtdose" in reader._source and by == reader.others[0]:
            evil()
        yield from decode(reader, frames, dtype, by)

    monkeypatch.setattr(SecondReader, "otherwise", otherwise)
    found = carefully(out, monkeypatch)
    assert (found.exit_code, found.problems) == (0, [])
    row = rows(found)["rtdose_rle.dcm"]
    assert row["verdict"] == "equal"
    assert "crashed its process" in row["note"]
    assert rows(found)["MR_small_RLE.dcm"]["note"] is None


@pytest.mark.parametrize("part", ["again", "otherwise"])
def test_an_original_that_crashes_every_decoder_is_reported_alone(
    out: Path, monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    monkeypatch.setattr(SecondReader, "again", lambda *_: die(signal.SIGABRT))
    monkeypatch.setattr(SecondReader, "otherwise", lambda *_: die(signal.SIGABRT) if part == "otherwise" else iter(()))
    found = carefully(out, monkeypatch)
    assert found.exit_code == 1
    assert {problem.code for problem in found.problems} == {"decode_failed"}
    assert "ended by signal SIGABRT" in found.problems[0].message
    assert {row["verdict"] for row in rows(found).values()} == {"unsound"}
