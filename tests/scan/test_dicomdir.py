import os
import shutil
import tracemalloc
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.fileset import FileSet

from pipeline.config import from_dict
from pipeline.frames import HeaderLimits, dicomdir_records, open_source, read_file_ids
from pipeline.scan import find_files, scan_batch
from pipeline.storage import OutputDir
from support.converted_folders import convert
from support.dicom_bytes import EXPLICIT, element, item, meta, native_file


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
    (file_set / "DICOMDIR").rename(file_set / "dicomdir")
    files = list(find_files([str(file_set / "dicomdir")]))[-1:]
    config = from_dict({"source": {"paths": ["/"]}, "output": {"path": str(tmp_path)}})
    result = scan_batch(files, config, OutputDir.of(tmp_path), 0)
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


OUTSIDE = [
    ["..", "secret"],
    ["A", "..", "..", "secret"],
    ["/etc", "passwd"],
    *("a/../../b", "/etc/passwd", "../secret", "A/../../secret", "C:/secret", "c:secret", ".", "/", "A\0B", "//host/x"),
    ["", "etc", "passwd"],
    ["D:", "A"],
]


@pytest.mark.filterwarnings("ignore:Invalid value", "ignore:The number of bytes", "ignore:A value of type")
@pytest.mark.parametrize("file_id", OUTSIDE)
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


def a_set(folder, files, *file_ids):
    """A DICOMDIR made by hand, and files that hold nothing."""
    folder.mkdir()
    for name in files:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"x")
    records = b"".join(item(element(0x00041430, "CS", "IMAGE") + element(0x00041500, "CS", one)) for one in file_ids)
    (folder / "DICOMDIR").write_bytes(meta("1.2.840.10008.1.2.1") + element(0x00041220, "SQ", records))
    return [found for found in found_in(folder / "DICOMDIR") if not found[0].startswith("DICOMDIR")]


FOUND = {
    "slashes": (["DICOM/IM3"], "DICOM/IM3", "DICOM/IM3"),
    "both kinds of slashes": (["A/B/C"], "A/B\\C", "A/B/C"),
    "doubled and trailing slashes": (["A/B"], "A//B/", "A/B"),
    "a dot in front": (["A/B"], "./A/B", "A/B"),
    "an extension on the disk": (["DICOM/IM2.DCM"], "DICOM\\IM2", "DICOM/IM2.DCM"),
    "one in small letters": (["dicom/im2.dcm"], "DICOM\\IM2", "dicom/im2.dcm"),
    "one that is no usual one": (["DICOM/IM2.MR"], "DICOM\\IM2", "DICOM/IM2.MR"),
    "an extension and a version": (["DICOM/IM2.DCM;1"], "DICOM\\IM2", "DICOM/IM2.DCM;1"),
    "behind a name with dots": (["1.2.3.dcm"], "1.2.3", "1.2.3.dcm"),
    "an extension in the directory only": (["DICOM/IM2"], "DICOM\\IM2.DCM", "DICOM/IM2"),
    "a picture beside it": (["IM2.JPG", "IM2.DCM", "IM2.TXT"], "IM2", "IM2.DCM"),
    "something else beside it": (["IM2.RAW", "IM2.IMA"], "IM2", "IM2.IMA"),
    "the name itself beside others": (["IM2", "IM2.DCM", "im2", "IM2.;1"], "IM2", "IM2"),
    "other case beside an extension": (["im2", "IM2.DCM"], "IM2", "im2"),
    "a folder of that name before": (["IM2/IM2.DCM"], "IM2/IM2", "IM2/IM2.DCM"),
}


@pytest.mark.parametrize("name", FOUND)
def test_files_are_found_under_names_that_a_copy_may_have_given_them(tmp_path, name):
    files, file_id, expected = FOUND[name]
    assert a_set(tmp_path / "set", files, file_id) == [(expected, "")]


LOST = {
    "two with extensions": (["IM2.DCM", "IM2.IMA"], "IM2", "ambiguous_file_id"),
    "two of which none is usual": (["IM2.MR", "IM2.CT"], "IM2", "ambiguous_file_id"),
    "two that differ in case": (["Im2", "IM2"], "im2", "ambiguous_file_id"),
    "only a picture": (["IM2.JPG"], "IM2", "file_not_found"),
    "the next number of a UID": (["1.2.3.4"], "1.2.3", "file_not_found"),
    "a longer name": (["IM20", "IM2_1.DCM"], "IM2", "file_not_found"),
    "a folder with an extension": (["DICOM.X/IM2"], "DICOM/IM2", "file_not_found"),
    "another extension": (["IM2.IMA"], "IM2.DCM", "file_not_found"),
}


@pytest.mark.parametrize("name", LOST)
def test_what_is_not_found_for_sure_is_told(tmp_path, name):
    files, file_id, problem = LOST[name]
    listed = file_id.replace("\\", "/")
    assert a_set(tmp_path / "set", [*files, "GOOD"], file_id, "GOOD") == [(listed, problem), ("GOOD", "")]


@pytest.mark.parametrize("file_ids", [(), ("GONE/IM1", "GONE/IM2")])
def test_a_directory_without_its_files_says_so(tmp_path, file_ids):
    assert {problem for _, problem in a_set(tmp_path / "set", [], *file_ids)} <= {"file_not_found"}
    found = convert(tmp_path / "set", {}, sources=("DICOMDIR",))
    row = found.rows["DICOMDIR"]
    assert (found.result.exit_code, row["status"], row["reason"]) == (1, "failed", "dicomdir_without_files")
    assert "all files that this DICOMDIR lists are missing" in found.told
    (tmp_path / "set" / "GONE").mkdir()
    files = {f"GONE/IM{n}": native_file(bytes(16), SOPInstanceUID=f"1.2.{n}") for n in (1, 2)}
    again = convert(tmp_path / "set", files, sources=("DICOMDIR",))
    statuses = [row["status"] for row in again.rows.values()]
    assert sorted(statuses) == (["converted"] * 2 + ["rejected"] if file_ids else ["failed"])


def test_the_files_of_a_directory_with_slashes_and_extensions_are_converted(tmp_path):
    names = ["DICOM/IM1", "DICOM/IM2.DCM", "DICOM/IM3"]
    a_set(tmp_path / "set", names, "DICOM\\IM1", "DICOM\\IM2", "DICOM/IM3", "DICOM/IM4")
    files = {name: native_file(bytes([n] * 16), SOPInstanceUID=f"1.2.{n}") for n, name in enumerate(names)}
    found = convert(tmp_path / "set", files, sources=("DICOMDIR",))
    assert {name: row["status"] for name, row in found.rows.items()} == dict.fromkeys(names, "converted") | {
        "DICOM/IM4": "failed",
        "DICOMDIR": "rejected",
    }
    assert [int(found.frames(name)[0, 0, 0]) for name in names] == [0, 1, 2]


def test_a_directory_is_read_record_by_record(file_set):
    """The driver reads it: what it holds at once is no more for many records, and a bomb is a row."""
    records = item(element(0x00041430, "CS", "IMAGE") + element(0x00041500, "CS", "98892001\\CT5N\\2062"))
    (file_set / "X").write_bytes(meta(EXPLICIT) + element(0x00041220, "SQ", records * 20_000))
    source = str(file_set / "X")
    tracemalloc.start()
    try:
        with open_source(source) as file:
            assert read_file_ids(file, source) == [["98892001", "CT5N", "2062"]] * 20_000
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 8 << 20  # 400 bytes for each file


def test_a_directory_of_nothing_but_items_is_a_row(file_set, monkeypatch):
    monkeypatch.setattr(dicomdir_records, "DIRECTORY_LIMITS", HeaderLimits(header_elements=1000))
    (file_set / "X").write_bytes(meta(EXPLICIT) + element(0x00041220, "SQ", item(b"") * 5000))
    (file_set / "X").rename(file_set / "DICOMDIR")
    assert [(Path(f.source).name, f.problem) for f in find_files([str(file_set / "DICOMDIR")])] == [("DICOMDIR", "")]
