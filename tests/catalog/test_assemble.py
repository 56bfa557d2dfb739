import json
import subprocess
import sys

import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.catalog import (
    assemble,
    count_reasons,
    open_catalog,
    open_segment,
    read_attributes,
    read_failures,
    read_rows,
    write_segment,
)
from pipeline.catalog import segments as segments_module
from pipeline.errors import ConfigError, OutputError
from pipeline.outcomes import RowOutcome
from pipeline.storage import OutputDir

CONTRACT_COLUMNS = [
    *("source", "status", "reason", "message", "sop_instance_uid"),
    *("sop_class_uid", "series_instance_uid", "study_instance_uid", "modality", "transfer_syntax_uid"),
    *("rows", "columns", "samples_per_pixel", "dtype", "photometric_interpretation"),
    *("num_frames", "image", "frame_start", "decoder", "header"),
]
KEYWORDS = {"PatientID": "text", "SliceThickness": "number", "PixelSpacing": "numbers", "SeriesNumber": "integer"}


def segment_row(source, **values):
    return {"source": source, "status": "pending", **values}


def test_contract_columns_come_first_and_keywords_last(tmp_path):
    out = str(tmp_path)
    row = segment_row("/a", PatientID="p", SliceThickness=0.1, PixelSpacing=[0.5, 0.6], SeriesNumber=3, header="{}")
    write_segment(OutputDir.of(out).segment(0), [row], KEYWORDS)
    assemble(
        OutputDir.of(out), [0], {(0, 0): RowOutcome("converted", image="s/i", frame_start=7, decoder="d 1")}, KEYWORDS
    )
    table = open_catalog(OutputDir.of(out))
    assert table.column_names[: len(CONTRACT_COLUMNS)] == CONTRACT_COLUMNS
    assert table.column_names[-4:] == list(KEYWORDS)
    assert "frame_attributes" not in table.column_names
    (seen,) = table.to_pylist()
    assert seen["PixelSpacing"] == [0.5, 0.6]
    assert (seen["status"], seen["reason"], seen["image"], seen["frame_start"]) == ("converted", None, "s/i", 7)
    assert pq.read_schema(OutputDir.of(out).catalog).metadata[b"dcm2zarr.catalog"] == b"1"


outcomes = st.builds(
    RowOutcome,
    status=st.sampled_from(["converted", "failed", "skipped"]),
    reason=st.none() | st.just("decode_failed"),
    message=st.none() | st.just("m"),
    image=st.none() | st.just("i"),
    frame_start=st.none() | st.integers(0, 9),
    num_frames=st.none() | st.integers(1, 9),
    photometric_interpretation=st.none() | st.just("RGB"),
    note=st.sampled_from(["", "noted"]),
)
rows = st.tuples(
    st.sampled_from(["pending", "rejected", "failed"]), st.none() | outcomes, st.sampled_from([None, "old"])
)


@settings(deadline=None, max_examples=40)
@given(batches=st.lists(st.lists(rows, max_size=7), max_size=4))
def test_every_row_gets_its_own_outcome(batches, tmp_path_factory):
    out = str(tmp_path_factory.mktemp("out"))
    expected, joined = [], {}
    for s, batch in enumerate(batches):
        with open_segment(OutputDir.of(out).segment(s), KEYWORDS) as writer:
            for r, (status, outcome, assumed) in enumerate(batch):
                name = f"/{s}/{r}"
                writer.write(
                    segment_row(name, assumptions=assumed, photometric_interpretation="P", num_frames=5)
                    | {"status": status}
                )
                if r % 3 == 2:
                    writer.flush()  # row groups of any size
                if outcome:
                    joined[s, r] = outcome
                expected.append((name, status, outcome, assumed))
    assemble(OutputDir.of(out), range(len(batches)), joined, KEYWORDS)
    seen = open_catalog(OutputDir.of(out)).to_pylist()
    assert [row["source"] for row in seen] == [name for name, *_ in expected]
    for row, (_, status, outcome, assumed) in zip(seen, expected, strict=True):
        if outcome is None:
            assert row["status"] == ("failed" if status == "pending" else status)
            assert row["reason"] == ("not_converted" if status == "pending" else None)
            assert row["assumptions"] == assumed
        else:
            assert row["status"] == outcome.status
            assert row["image"] == outcome.image
            assert row["num_frames"] == (outcome.num_frames or 5)
            assert row["photometric_interpretation"] == (outcome.photometric_interpretation or "P")
            assert row["assumptions"] == ("; ".join(filter(None, [assumed, outcome.note])) or None)
    counts = count_reasons(OutputDir.of(out))
    assert sum(counts.values()) == len(expected)
    assert len(read_failures(OutputDir.of(out))) == sum(n for (status, _), n in counts.items() if status == "failed")


def test_nothing_found_is_an_empty_catalog_with_all_columns(tmp_path):
    assemble(OutputDir.of(tmp_path), [], {}, KEYWORDS)
    table = open_catalog(OutputDir.of(tmp_path))
    assert (len(table), set(KEYWORDS) <= set(table.column_names)) == (0, True)


def test_rows_are_read_in_any_order_from_few_row_groups(tmp_path, monkeypatch):
    monkeypatch.setattr(segments_module, "GROUP_ROWS", 3)
    path = OutputDir.of(tmp_path).segment(4)
    write_segment(path, [segment_row(f"/{n}", attributes=json.dumps({"n": n})) for n in range(10)], KEYWORDS)
    assert pq.ParquetFile(path).metadata.num_row_groups == 4
    assert [r["source"] for r in read_rows(path, [9, 0, 4, 0], ["source"])] == ["/9", "/0", "/4", "/0"]
    found = read_attributes(OutputDir.of(tmp_path), [(4, 8), (4, 1)])
    assert [a.constant for a in found] == [{"n": 8}, {"n": 1}]
    assert [a.by_frame for a in found] == [{}, {}]
    with pytest.raises(IndexError, match="10 rows"):
        read_rows(path, [10], ["source"])


def test_headers_are_split_into_row_groups_by_their_size(tmp_path, monkeypatch):
    monkeypatch.setattr(segments_module, "GROUP_BYTES", 1000)
    path = tmp_path / "s.parquet"
    write_segment(path, [segment_row(f"/{n}", header="h" * 400) for n in range(9)], KEYWORDS)
    assert [pq.ParquetFile(path).metadata.row_group(n).num_rows for n in range(3)] == [3, 3, 3]


def test_text_that_is_no_unicode_is_written_readably(tmp_path):
    path = tmp_path / "s.parquet"
    write_segment(path, [segment_row("/a", PatientID="x\udc80")], KEYWORDS)
    assert read_rows(path, [0], ["PatientID"]) == [{"PatientID": "x\\udc80"}]


def test_a_failed_segment_leaves_nothing(tmp_path):
    def stopped():
        with open_segment(tmp_path / "s.parquet", KEYWORDS) as writer:
            writer.write(segment_row("/a"))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stopped()
    assert list(tmp_path.iterdir()) == []


def test_unknown_kind_and_missing_catalog_are_named(tmp_path):
    with pytest.raises(ConfigError, match=r"PixelData.*'bytes'"):
        write_segment(tmp_path / "s.parquet", [], {"PixelData": "bytes"})
    with pytest.raises(OutputError, match=r"no catalog\.parquet"):
        open_catalog(OutputDir.of(tmp_path))
    (tmp_path / "catalog.parquet").write_bytes(b"PAR1 not")
    with pytest.raises(OutputError, match="can't be read"):
        open_catalog(OutputDir.of(tmp_path))
    assemble(OutputDir.of(tmp_path), [], {}, {})
    with pytest.raises(OutputError, match="no column 'colour'"):
        open_catalog(OutputDir.of(tmp_path), ["colour"])


_PEAK = """
import resource, sys
from pipeline.catalog import assemble
from pipeline.storage import OutputDir
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
assemble(OutputDir(sys.argv[1]), range(40), {}, {})
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


def test_memory_does_not_grow_with_the_headers(tmp_path):
    out = str(tmp_path)
    for segment in range(40):
        rows = [segment_row(f"/{segment}/{n}", header=f"{segment}-{n}" * 30_000) for n in range(60)]
        write_segment(OutputDir.of(out).segment(segment), rows, {})  # about 500 MB of headers in all
    peak = int(subprocess.run([sys.executable, "-c", _PEAK, out], check=True, capture_output=True, text=True).stdout)
    assert peak < 250  # MiB
    assert open_catalog(OutputDir.of(out), ["source"]).num_rows == 2400
