"""An interrupted scan isn't started from the beginning: batches that were read stay valid if the files haven't changed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pipeline import catalog, scan
from pipeline.errors import OutputError
from pipeline.runs import scan_phase
from pipeline.storage import OutputDir
from support.varied_files import Place


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The files whose headers are read by every scan of the test; batches have two files."""
    monkeypatch.setattr(scan_phase, "BATCHES", ((2, 1000),))
    names: list[str] = []
    batch = scan.scan_batch

    def watched(files, *given, **options):
        names.extend(Path(file.source).name for file in files)
        return batch(files, *given, **options)

    monkeypatch.setattr(scan, "scan_batch", watched)
    return names


def interrupted(place: Place, after: int, **options: object) -> None:
    """Begin a conversion and end it after this many batches."""
    left = [after]
    result = scan_phase._result

    def counted(*given):
        if not left[0]:
            raise KeyboardInterrupt
        left[0] -= 1
        return result(*given)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scan_phase, "_result", counted)
        with pytest.raises(KeyboardInterrupt):
            place.convert(**options)
    assert not catalog.has_plan(OutputDir.of(place.out))


def names(place: Place) -> list[str]:
    return sorted(path.name for path in place.folder.iterdir())


def test_read_batches_are_not_read_again_and_the_result_is_the_same(varied: Place, read: list[str]) -> None:
    whole = varied.elsewhere("whole")
    whole.convert()
    read.clear()
    interrupted(varied, 4)
    first = {*read}
    assert len(first) == 10  # the batch with which it ended among them
    read.clear()
    varied.convert()
    assert sorted({*read} | first) == names(varied)
    assert {*read} & first == batch_of(varied, "cut.dcm")
    assert varied.result() == whole.result()
    assert not (varied.out / "plan" / "scanned").exists()


@pytest.fixture
def half(varied: Place, read: list[str]) -> Place:
    """The varied files, all read by a scan that was interrupted at its end."""
    interrupted(varied, (len(names(varied)) - 1) // 2)
    read.clear()
    return varied


def batch_of(place: Place, name: str) -> set[str]:
    found = names(place)
    start = found.index(name) // 2 * 2
    return {*found[start : start + 2]}


def test_a_file_that_changed_in_between_is_read_with_its_batch(half: Place, read: list[str]) -> None:
    path = half.folder / "rtdose_rle.dcm"
    os.utime(path, ns=(1, 1))
    half.convert()
    assert {*read} == batch_of(half, path.name) | batch_of(half, "cut.dcm")


@pytest.mark.parametrize("left", [b"", b"PAR1", None], ids=["empty", "cut", "no segment"])
def test_damaged_batches_are_read_again(half: Place, read: list[str], left: bytes | None) -> None:
    folder = half.out / "plan"
    if left is None:
        (folder / "segments" / "00000001.parquet").unlink()
    else:
        (folder / "scanned" / "00000001.parquet").write_bytes(left)
    half.convert()
    assert {*names(half)[2:4]} <= {*read}
    assert len(half.rows()) == len(names(half))


def test_with_other_settings_everything_is_read_again(half: Place, read: list[str]) -> None:
    half.convert(select={"where": {"Modality": "CT"}})
    assert sorted(read) == names(half)


def test_a_file_that_failed_is_tried_again(half: Place, read: list[str]) -> None:
    half.convert()
    assert "cut.dcm" in read


def test_a_full_disk_is_reported(varied: Place, read: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OutputError("no space")

    monkeypatch.setattr("pipeline.runs.scan_cache.catalog.write_scanned", full)
    with pytest.raises(OutputError, match="no space"):
        varied.convert()
    assert read
