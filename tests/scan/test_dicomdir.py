import os
import shutil
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.fileset import FileSet

from pipeline.config import from_dict
from pipeline.scan import find_files, scan_batch


@pytest.fixture
def file_set(pydicom_folder, tmp_path):
    shutil.copytree(pydicom_folder / "dicomdirtests", tmp_path / "set")
    return tmp_path / "set"


def found_in(directory):
    return [(os.path.relpath(f.source, directory.parent), f.problem) for f in find_files([str(directory)])]


@pytest.mark.filterwarnings("ignore")
def test_the_files_that_pydicom_finds_and_the_directory_itself(file_set):
    expected = {os.path.relpath(instance.path, file_set) for instance in FileSet(file_set / "DICOMDIR")}
    found = found_in(file_set / "DICOMDIR")
    assert {name for name, problem in found if not problem} == expected | {"DICOMDIR"}
    assert len(found) == len(expected) + 1 == len(set(found))
    assert found[-1] == ("DICOMDIR", "")


def test_a_directory_of_any_name_is_known_by_its_sop_class(file_set):
    (file_set / "DICOMDIR").rename(file_set / "index.dat")
    assert len(found_in(file_set / "index.dat")) == len(found_in(file_set / "DICOMDIR-bigEnd")) > 2


def test_in_a_walk_it_is_a_file_like_others(file_set):
    names = [f.source for f in find_files([str(file_set)])]
    assert names == sorted(str(path) for path in file_set.rglob("*") if path.is_file())


def test_it_is_rejected_as_itself(file_set, tmp_path):
    (file_set / "DICOMDIR").rename(tmp_path / "dicomdir")
    files = [f for f in find_files([str(tmp_path / "dicomdir")]) if not f.problem]
    config = from_dict({"source": {"paths": ["/"]}, "output": {"path": str(tmp_path)}})
    result = scan_batch(files, config, str(tmp_path), 0)
    assert [Path(f.source).name for f in files] == ["dicomdir"]
    assert dict(result.counts) == {("rejected", "no_pixel_data"): 1}


def test_missing_files_are_rows(file_set):
    gone = file_set / "98892001/CT5N/2062"
    assert gone.exists()
    gone.unlink()
    assert ("98892001/CT5N/2062", "file_not_found") in found_in(file_set / "DICOMDIR")


def test_case_version_numbers_and_dots_are_tolerated(file_set):
    before = dict(found_in(file_set / "DICOMDIR"))
    (file_set / "98892001").rename(file_set / "98892001.")
    (file_set / "98892001./CT5N").rename(file_set / "98892001./ct5n")
    (file_set / "98892001./ct5n/2062").rename(file_set / "98892001./ct5n/2062.;1")
    (file_set / "DICOMDIR").rename(file_set / "dicomdir;1")
    found = dict(found_in(file_set / "dicomdir;1"))
    assert not any(found.values())
    assert len(found) == len(before)
    assert "98892001./ct5n/2062.;1" in found


def directory_with(path, template, *file_ids):
    dataset = dcmread(template)
    records = []
    for file_id in file_ids:
        record = Dataset()
        record.ReferencedFileID = file_id
        record.DirectoryRecordType = "IMAGE"
        records.append(record)
    dataset.DirectoryRecordSequence = records
    dataset.save_as(path)


@pytest.mark.filterwarnings("ignore:Invalid value")
@pytest.mark.parametrize("file_id", [["..", "secret"], ["A", "..", "..", "secret"], ["/etc", "passwd"], "a/../../b"])
def test_it_never_leads_out_of_the_file_set(file_set, file_id):
    (file_set.parent / "secret").write_bytes(b"x")
    directory_with(file_set / "X", file_set / "DICOMDIR", file_id, ["DICOMDIR"])
    files = list(find_files([str(file_set / "X")]))
    assert [f.problem for f in files] == ["invalid_attribute", "", ""]
    assert files[0].size == -1


def test_a_damaged_directory_refers_to_nothing_and_is_a_row(file_set, tmp_path):
    data = (file_set / "DICOMDIR").read_bytes()
    for cut in (400, 3000):
        (file_set / "DICOMDIR").write_bytes(data[:cut])
        assert found_in(file_set / "DICOMDIR")[-1] == ("DICOMDIR", "")
    (file_set / "DICOMDIR").write_bytes(b"no DICOM")
    assert found_in(file_set / "DICOMDIR") == [("DICOMDIR", "")]
    assert tmp_path.exists()


def test_a_list_may_name_a_directory(file_set):
    (file_set / "l.txt").write_text("DICOMDIR\n")
    assert [f.source for f in find_files([str(file_set / "l.txt")])] == [
        f.source for f in find_files([str(file_set / "DICOMDIR")])
    ]
