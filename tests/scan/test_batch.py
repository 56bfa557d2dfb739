import io
import json
import os
import pickle
import struct
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.pixels import iter_pixels
from pydicom.sequence import Sequence

from pipeline import frames
from pipeline.catalog import assemble, count_reasons, open_catalog, read_attributes, read_rows
from pipeline.config import from_dict
from pipeline.errors import ConfigError
from pipeline.model import FrameIndex, SourceFile
from pipeline.outcomes import RowOutcome
from pipeline.scan import column_kinds, find_files, lost_batch, scan_batch
from pipeline.storage import OutputDir

SEEN = ["source", "status", "reason", "message", "assumptions", "unconverted"]


def configured(out, **sections):
    return from_dict({"source": {"paths": ["/"]}, "output": {"path": str(out)}, **sections})


def looked_at(*paths):
    return [next(find_files([str(path)])) for path in paths]


def scanned(out, paths, **sections):
    """Scan and return the result and the whole rows."""
    config = configured(out, **sections)
    result = scan_batch(looked_at(*paths), config, OutputDir.of(out), 0, salt=b"of these tests")
    columns = [*SEEN, *(set(open_columns(out, config)) - set(SEEN))]
    return result, read_rows(OutputDir.of(out).segment(0), range(len(paths)), columns)


def open_columns(out, config):
    assemble(OutputDir.of(out), [0], {}, column_kinds(config))
    return open_catalog(OutputDir.of(out)).column_names


@pytest.fixture
def small(pydicom_folder):
    return dcmread(pydicom_folder / "CT_small.dcm")


@pytest.fixture
def save(tmp_path):
    def saved(dataset, name="file.dcm", **kwargs):
        dataset.save_as(tmp_path / name, **kwargs)
        return tmp_path / name

    return saved


@pytest.fixture(scope="module")
def whole_corpus(corpus_files, tmp_path_factory):
    out = tmp_path_factory.mktemp("out")
    files = [SourceFile(str(p), p.stat().st_size, p.stat().st_mtime_ns) for p in corpus_files]
    result = scan_batch(files, configured(out), OutputDir.of(out), 0)
    rows = read_rows(OutputDir.of(out).segment(0), range(len(files)), [*SEEN, "header", "num_frames", "rows", "dtype"])
    return out, files, result, rows


def test_every_file_of_the_corpora_is_one_row(whole_corpus):
    out, files, result, rows = whole_corpus
    assert [row["source"] for row in rows] == [file.source for file in files]
    assert {row["status"] for row in rows} <= {"pending", "failed", "rejected"}
    assert all((row["status"] == "pending") != bool(row["reason"] and row["message"]) for row in rows)
    assert all(row["status"] == "pending" or row["source"] in row["message"] for row in rows)
    assert sum(result.counts.values()) + len(result.instances) == len(files) == result.files
    assert result.bytes == sum(file.size for file in files)
    pending = [n for n, row in enumerate(rows) if row["status"] == "pending"]
    assert [(i.segment, i.row, i.source) for i in result.instances] == [(0, n, rows[n]["source"]) for n in pending]
    assert count_reasons_of(rows) == dict(result.counts)
    assert len(read_attributes(OutputDir.of(out), [(0, n) for n in pending])) == len(pending)


def test_nothing_is_told_of_values(corpus_files, tmp_path, recwarn, caplog, capfd):
    scan_batch(looked_at(*corpus_files), configured(tmp_path), OutputDir.of(tmp_path), 0)
    assert [str(warning.message) for warning in recwarn] == []
    assert "".join(capfd.readouterr()) == ""
    assert {record.name.partition(".")[0] for record in caplog.records} <= {"pydicom"}  # which has no handler


def count_reasons_of(rows):
    found = {}
    for row in rows:
        if row["status"] != "pending":
            found[row["status"], row["reason"]] = found.get((row["status"], row["reason"]), 0) + 1
    return found


@pytest.mark.filterwarnings("ignore")
def test_what_pydicom_decodes_becomes_an_instance(whole_corpus):
    _, _, result, rows = whole_corpus
    instances = {instance.source for instance in result.instances}
    others = [row["source"] for row in rows if row["source"] not in instances]
    assert len(others) > 20
    for source in others:
        assert not decodes(source), source
        assert not decodes(source, dcmread), source


def decodes(path, opened=str):
    try:
        return any(True for _ in iter_pixels(opened(path)))
    except Exception:  # noqa: BLE001  whatever pydicom raises, it doesn't decode
        return False


def test_every_instance_has_an_index_a_format_and_a_header(whole_corpus):
    out, _, result, rows = whole_corpus
    for instance in result.instances:
        assert bool(instance.frame_index) != bool(instance.frame_index_file)
        data = instance.frame_index or (out / instance.frame_index_file).read_bytes()
        index = FrameIndex.from_bytes(data)
        row = rows[instance.row]
        assert index.number_of_frames == instance.number_of_frames == row["num_frames"] > 0
        assert (instance.format.rows, instance.format.dtype) == (row["rows"], row["dtype"])
        assert sum(index.encoded_bytes(n) for n in range(min(3, index.number_of_frames))) > 0
        assert "7FE00010" not in json.loads(row["header"])
    files = [instance for instance in result.instances if instance.frame_index_file]
    assert files
    assert all((out / instance.frame_index_file).stat().st_size > 512 for instance in files)
    assert len(pickle.dumps(result)) < 1000 * len(result.instances)


def test_a_row_says_what_the_header_says(tmp_path, small, save):
    result, (row,) = scanned(tmp_path, [save(small)], metadata={"keywords": ["KVP", "Allergies", "OtherPatientIDs"]})
    assert row["sop_instance_uid"] == small.SOPInstanceUID
    assert row["sop_class_uid"] == small.SOPClassUID
    assert row["series_instance_uid"] == small.SeriesInstanceUID
    assert row["study_instance_uid"] == small.StudyInstanceUID
    assert (row["modality"], row["rows"], row["columns"], row["samples_per_pixel"]) == ("CT", 128, 128, 1)
    assert (row["dtype"], row["photometric_interpretation"], row["num_frames"]) == ("int16", "MONOCHROME2", 1)
    assert row["transfer_syntax_uid"] == small.file_meta.TransferSyntaxUID
    assert row["PixelSpacing"] == [float(x) for x in small.PixelSpacing]
    assert row["ImageType"] == list(small.ImageType)
    assert (row["PatientID"], row["KVP"], row["Allergies"]) == (small.PatientID, float(small.KVP), None)
    assert (row["image"], row["frame_start"], row["decoder"], row["assumptions"]) == (None, None, None, None)
    assert Dataset.from_json(row["header"]).PatientName == small.PatientName
    (instance,) = result.instances
    assert instance.position == tuple(float(x) for x in small.ImagePositionPatient)
    assert instance.orientation[1] == tuple(float(x) for x in small.ImageOrientationPatient[3:])
    assert (instance.instance_number, instance.image_type) == (small.InstanceNumber, "\\".join(small.ImageType))
    assert (instance.encoded_bytes, instance.size) == (128 * 128 * 2, (tmp_path / "file.dcm").stat().st_size)


def test_no_header_where_none_is_wanted(tmp_path, small, save):
    _, (row,) = scanned(tmp_path, [save(small)], metadata={"header": "none"})
    assert row["header"] is None
    assert row["PatientID"] == small.PatientID


def test_absurd_sizes_are_refused_with_the_numbers(tmp_path, small, save):
    small.Rows = small.Columns = 65535
    result, (row,) = scanned(tmp_path, [save(small)])
    assert (row["status"], row["reason"]) == ("failed", "frame_too_large")
    assert "8589672450 bytes" in row["message"]
    assert "2147483648" in row["message"]
    assert result.instances == ()


@pytest.mark.parametrize(
    ("where", "status"),
    [
        ({"Modality": "CT"}, "pending"),
        ({"Modality": ["MR", "CT"], "ImageType": "AXIAL"}, "pending"),
        ({"SliceThickness": 5}, "pending"),
        ({"Modality": "MR"}, "skipped"),
        ({"Allergies": ""}, "skipped"),
    ],
)
def test_where(tmp_path, small, save, where, status):
    del small[0x00280100]
    expected = "failed" if status == "pending" else status  # what is left out needs no sound pixels
    _, rows = scanned(tmp_path, [save(small)], select={"where": where})
    assert rows[0]["status"] == expected
    assert status == "pending" or rows[0]["reason"] == "not_selected"


def test_unknown_keywords_are_mistakes(tmp_path):
    with pytest.raises(ConfigError, match="Modalty"):
        scan_batch([], configured(tmp_path, select={"where": {"Modalty": "CT"}}), OutputDir.of(tmp_path), 0)
    with pytest.raises(ConfigError, match="SliceThicknes"):
        scan_batch([], configured(tmp_path, metadata={"keywords": ["SliceThicknes"]}), OutputDir.of(tmp_path), 0)


def test_missing_uids_get_placeholders_and_stay_null(tmp_path, small, save):
    del small.SOPInstanceUID
    del small.SeriesInstanceUID
    del small.StudyInstanceUID
    small.file_meta.MediaStorageSOPInstanceUID = "1.2.3.4"
    known = save(small, "known.dcm", enforce_file_format=False)
    del small.file_meta.MediaStorageSOPInstanceUID
    unknown = save(small, "unknown.dcm", enforce_file_format=False)
    first, rows = scanned(tmp_path, [known, unknown])
    again, _ = scanned(tmp_path, [known, unknown])
    assert first == again
    assert [i.series_instance_uid for i in first.instances] == ["unknown", "unknown"]
    assert [row["series_instance_uid"] for row in rows] == [None, None]
    assert [row["sop_instance_uid"] for row in rows] == ["1.2.3.4", None]
    assert first.instances[1].sop_instance_uid.startswith("unknown-")
    assert "no Series Instance UID" in rows[0]["assumptions"]
    assert "no SOP Instance UID" in rows[1]["assumptions"]


def test_values_that_cannot_be_converted_are_kept_as_text(tmp_path, small, save):
    path = save(small)
    thickness = struct.pack("<HH2sH", 0x18, 0x50, b"DS", 8)
    data = path.read_bytes()
    assert data.count(thickness) == 1
    at = data.index(thickness) + 8
    path.write_bytes(data[:at] + b"5.0 mm? " + data[at + 8 :])
    result, (row,) = scanned(tmp_path, [path])
    assert len(result.instances) == 1
    assert row["SliceThickness"] is None
    assert json.loads(row["unconverted"])["SliceThickness"] == "5.0 mm?"
    assert json.loads(row["unconverted"])["00180050"] == "5.0 mm?"


def test_cut_headers_failed_and_are_not_mistaken_for_files_without_pixels(tmp_path, small, save):
    data = save(small).read_bytes()
    cuts = {"in the patient": b"\x10\x00\x10\x00", "behind Rows": b"\x28\x00\x30\x00"}
    paths = []
    for name, tag in cuts.items():
        paths.append(tmp_path / name)
        paths[-1].write_bytes(data[: data.index(tag) + 10])
    _, rows = scanned(tmp_path, paths)
    assert [(row["status"], row["reason"]) for row in rows] == [("failed", "pixel_data_too_short")] * 2
    assert all("its SOP Class is CT Image Storage" in row["message"] for row in rows)


def test_files_in_trouble_are_rows_and_never_opened(tmp_path, monkeypatch):
    monkeypatch.setattr(frames, "open_source", lambda *_: pytest.fail("opened"))
    problems = ["file_not_found", "unreadable", "invalid_attribute", "not_a_regular_file", "symbolic_link"]
    files = [SourceFile(f"/{problem}", -1, problem=problem) for problem in problems]
    result = scan_batch(files, configured(tmp_path), OutputDir.of(tmp_path), 3)
    assert dict(result.counts) == {
        ("failed", "file_not_found"): 1,
        ("failed", "unreadable"): 1,
        ("failed", "invalid_attribute"): 1,
        ("rejected", "not_a_regular_file"): 1,
        ("skipped", "symbolic_link"): 1,
    }
    rows = read_rows(OutputDir.of(tmp_path).segment(3), range(5), ["message", "file_size", "mtime_ns"])
    assert all(row["message"] and row["file_size"] is None and row["mtime_ns"] is None for row in rows)
    assert result.bytes == 0


def test_a_file_that_vanished_after_it_was_found(tmp_path, small, save):
    path = save(small)
    files = looked_at(path)
    path.unlink()
    result = scan_batch(files, configured(tmp_path), OutputDir.of(tmp_path), 0)
    assert dict(result.counts) == {("failed", "file_not_found"): 1}


@pytest.mark.parametrize("error", [struct.error, KeyError, RecursionError, MemoryError, AssertionError, ValueError])
def test_anything_raised_while_reading_is_a_reason_without_values(tmp_path, small, save, monkeypatch, error):
    def raising(*_args, **_kwargs):
        raise error("bad value 'DOE^JANE' and \"secret\"")

    monkeypatch.setattr(frames, "index_frames", raising)
    _, (row,) = scanned(tmp_path, [save(small)])
    assert (row["status"], row["reason"]) == ("failed", "header_unreadable")
    assert error.__name__ in row["message"]
    assert not {"DOE", "secret"} & set(row["message"].replace("^", " ").replace('"', " ").split())
    assert row["rows"] == 128  # what was learned before stays


@pytest.mark.parametrize("function", ["header_json", "frame_attributes", "geometry", "keyword_values"])
def test_tables_never_cost_an_image(tmp_path, small, save, monkeypatch, function):
    def raising(*_args, **_kwargs):
        raise RecursionError

    monkeypatch.setattr(frames, function, raising)
    result, (row,) = scanned(tmp_path, [save(small)])
    assert len(result.instances) == 1
    assert "could not be read (RecursionError)" in row["assumptions"]


def test_an_interrupt_is_no_reason(tmp_path, small, save, monkeypatch):
    def raising(*_args, **_kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(frames, "read_header", raising)
    with pytest.raises(KeyboardInterrupt):
        scanned(tmp_path, [save(small)])
    assert not OutputDir.of(tmp_path).segment(0).exists()


def test_deeply_nested_sequences_end_as_a_row(tmp_path, small, save):
    path = save(small)
    nested = struct.pack("<HH2sHL", 0x0040, 0xA730, b"SQ", 0, 0xFFFFFFFF) + struct.pack(
        "<HHL", 0xFFFE, 0xE000, 0xFFFFFFFF
    )
    data = path.read_bytes()
    at = data.rindex(struct.pack("<HH2s", 0x7FE0, 0x0010, b"OW"))
    path.write_bytes(data[:at] + nested * 3000 + data[at:])
    result, (row,) = scanned(tmp_path, [path])
    assert row["status"] in {"failed", "pending"}
    assert len(result.instances) == (row["status"] == "pending")


def test_instances_share_what_repeats(tmp_path, small, save):
    paths = []
    for number in range(3):
        small.SOPInstanceUID = f"1.2.{number}"
        paths.append(save(small, f"{number}.dcm"))
    result, _ = scanned(tmp_path, paths)
    for name in ("series_instance_uid", "format", "frame_index"):
        assert len({id(getattr(instance, name)) for instance in result.instances}) == 1


def test_a_lost_batch_still_has_all_its_rows(tmp_path, small, save):
    path = save(small)
    files = [*looked_at(path), SourceFile("/link", -1, problem="symbolic_link")]
    result = lost_batch(files, OutputDir.of(tmp_path), 0, reason="worker_lost", message="the worker died")
    scan_batch(looked_at(path), configured(tmp_path), OutputDir.of(tmp_path), 1)
    assert dict(result.counts) == {("failed", "worker_lost"): 1, ("skipped", "symbolic_link"): 1}
    assemble(OutputDir.of(tmp_path), [0, 1], {(1, 0): RowOutcome("converted")}, column_kinds(configured(tmp_path)))
    assert count_reasons(OutputDir.of(tmp_path)) == {
        ("converted", ""): 1,
        ("failed", "worker_lost"): 1,
        ("skipped", "symbolic_link"): 1,
    }
    assert open_catalog(OutputDir.of(tmp_path), ["PatientID"])["PatientID"].to_pylist() == [None, None, small.PatientID]


def test_names_that_are_not_utf8_are_scanned(tmp_path, small, save):
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.dcm"))
    save(small).rename(path)
    result, (row,) = scanned(tmp_path, [path])
    assert result.instances[0].source == row["source"] == f"file://{tmp_path}/%FF.dcm"


def test_a_damaged_functional_group_does_not_cost_the_image(tmp_path, small, save):
    small.PerFrameFunctionalGroupsSequence = Sequence([Dataset()])
    small.SharedFunctionalGroupsSequence = Sequence([])
    result, _ = scanned(tmp_path, [save(small)])
    assert len(result.instances) == 1


@pytest.fixture(scope="module")
def seeds(corpus_files):
    chosen = ("CT_small.dcm", "emri_small_RLE.dcm", "image_dfl.dcm", "rtplan.dcm", "SC_rgb_small_odd_jpeg.dcm")
    return [path.read_bytes()[:20_000] for path in corpus_files if path.name in chosen]


@settings(deadline=None, max_examples=150)
@given(data=st.data())
def test_no_damage_raises(seeds, tmp_path_factory, data):
    content = bytearray(data.draw(st.sampled_from(seeds)))
    for _ in range(data.draw(st.integers(1, 8))):
        content[data.draw(st.integers(0, min(len(content) - 1, 4000)))] = data.draw(st.integers(0, 255))
    content = content[: data.draw(st.integers(0, len(content)))] if data.draw(st.booleans()) else content
    out = tmp_path_factory.mktemp("out")
    path = out / "damaged"
    path.write_bytes(content)
    result = scan_batch(looked_at(path), configured(out), OutputDir.of(out), 0)
    (row,) = read_rows(OutputDir.of(out).segment(0), [0], SEEN)
    assert len(result.instances) + sum(result.counts.values()) == 1
    assert (row["status"] == "pending") == bool(result.instances)
    assert io.BytesIO(content).getbuffer().nbytes == result.bytes
