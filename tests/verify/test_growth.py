"""``verify`` on results that weren't made in one go: grown, made again, resumed, replaced, done in partitions."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.config import load
from pipeline.runs import array_jobs, stages
from pipeline.verify import Verification, file_verdicts, verify
from support import varied_files as files
from support.varied_files import Place


@pytest.fixture
def varied(tmp_path: Path, pydicom_folder: Path) -> Place:
    files.fill(tmp_path / "in", pydicom_folder)
    return Place(tmp_path / "in", tmp_path / "out")


def check(place: Place) -> Verification:
    return verify(place.out, source=True, cluster={"kind": "synchronous"})


def verdicts(place: Place) -> dict[str, str]:
    """Check that nothing is wrong; return the verdict on each file."""
    found = check(place)
    assert found.problems == []
    return {Path(row["source"]).name: row["verdict"] for row in file_verdicts(found)}


EXPECTED = {"cut.dcm": "not_stored", "notes.txt": "not_stored"}
"""All originals are equal, and one of two is a copy of the other."""


def usual(said: dict[str, str]) -> bool:
    rest = {name: verdict for name, verdict in said.items() if name not in EXPECTED}
    known = {name: said[name] for name in EXPECTED if name in said}
    return known.items() <= EXPECTED.items() and set(rest.values()) <= {"equal", "copy"}


def new_series(place: Place, originals: Path) -> None:
    files.add_series(place.folder, originals / "CT_small.dcm", range(1, 4), series="1.2.3.5")


def grown_series(place: Place, originals: Path) -> None:
    files.add_series(place.folder, originals / "CT_small.dcm", range(6, 9))


def repaired(place: Place, originals: Path) -> None:
    shutil.copy(originals / "rtdose_rle.dcm", place.folder / "cut.dcm")


@pytest.mark.parametrize("change", [new_series, grown_series, repaired], ids=lambda change: change.__name__)
def test_a_result_that_has_grown(varied: Place, pydicom_folder: Path, change: Callable[[Place, Path], None]) -> None:
    varied.convert()
    change(varied, pydicom_folder)
    varied.convert()
    said = verdicts(varied)
    assert usual(said | ({"cut.dcm": "not_stored"} if change is repaired else {}))
    assert len(said) == len(list(varied.folder.iterdir()))
    if change is repaired:
        assert said["cut.dcm"] in {"equal", "copy"}


def test_a_result_that_has_grown_twice_and_lost_originals_in_between(varied: Place, pydicom_folder: Path) -> None:
    varied.convert()
    new_series(varied, pydicom_folder)
    varied.convert()
    gone = [varied.folder / "MR_small.dcm", varied.folder / "series-1.2.3.4-002.dcm"]
    for path in gone:
        path.unlink()
    grown_series(varied, pydicom_folder)
    varied.convert()
    found = check(varied)
    said = {Path(row["source"]).name: row["verdict"] for row in file_verdicts(found)}
    assert {problem.code for problem in found.problems} <= {"source_gone"}
    assert {said.pop(path.name) for path in gone} == {"gone"}
    said.pop("copy.dcm")  # of a file that is gone
    assert usual(said)


def test_a_result_that_was_replaced(varied: Place) -> None:
    varied.convert(output={"shard": "1 MB"})
    (varied.folder / "series-1.2.3.4-001.dcm").unlink()
    varied.convert(overwrite=True)
    assert usual(verdicts(varied))


def test_a_growth_that_was_interrupted_and_gone_on_with(
    varied: Place, pydicom_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    varied.convert()
    grown_series(varied, pydicom_folder)
    with monkeypatch.context() as patch:
        patch.setattr(stages.Ledger, "append_files", interrupt)
        with pytest.raises(KeyboardInterrupt):
            varied.convert()
    assert {problem.code for problem in check(varied).problems} >= {"unfinished_run"}
    varied.convert()
    assert usual(verdicts(varied))


def test_partitions_of_a_result_that_has_grown(varied: Place, pydicom_folder: Path) -> None:
    varied.convert()
    grown_series(varied, pydicom_folder)
    parts = array_jobs.init(load(varied.out / "run.yaml"), partitions=3)
    for number in range(len(parts)):
        array_jobs.convert_partition(varied.out, number)
    array_jobs.finalize(varied.out)
    assert usual(verdicts(varied))


def test_a_change_in_what_was_taken_over_is_noticed(varied: Place, pydicom_folder: Path) -> None:
    varied.convert()
    image = next(row["image"] for row in varied.rows() if row["source"].endswith("rtdose_rle.dcm"))
    new_series(varied, pydicom_folder)
    varied.convert()
    shard = next(path for path in (varied.out / "images.zarr" / image / "pixels" / "c").rglob("*") if path.is_file())
    data = bytearray(shard.read_bytes())
    data[len(data) // 2] ^= 1
    shard.write_bytes(data)
    found = check(varied)
    assert "changed_file" in {problem.code for problem in found.problems}
    assert {Path(row["source"]).name for row in file_verdicts(found) if row["verdict"] == "unsound"} == {
        "rtdose_rle.dcm"
    }


def interrupt(*_: object) -> None:
    raise KeyboardInterrupt
