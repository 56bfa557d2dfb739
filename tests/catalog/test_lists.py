import csv

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.catalog import read_path_list
from pipeline.errors import ConfigError, SourceError


def listed(folder, name, text):
    path = folder / name
    path.write_bytes(text.encode("utf-8", "surrogateescape") if isinstance(text, str) else text)
    return read_path_list(path)


def test_text_comments_blank_lines_and_relative_entries(tmp_path):
    text = "\ufeff# what to convert\r\n\r\n  a/b.dcm \r\n/abs/c#1.dcm\n\ndata of 2020/\nfile:///x/%FF.dcm"
    assert listed(tmp_path, "list.TXT", text) == [
        str(tmp_path / "a/b.dcm"),
        "/abs/c#1.dcm",
        str(tmp_path / "data of 2020"),
        "file:///x/%FF.dcm",
    ]


def test_relative_entries_count_from_the_list_not_from_here(tmp_path, monkeypatch):
    (tmp_path / "lists").mkdir()
    (tmp_path / "lists/l.txt").write_text("a.dcm")
    monkeypatch.chdir(tmp_path)
    assert read_path_list("lists/l.txt") == [str(tmp_path / "lists/a.dcm")]


def test_names_that_are_not_utf8_survive(tmp_path):
    assert listed(tmp_path, "l.txt", b"/a/\xff.dcm\n") == ["/a/\udcff.dcm"]
    assert listed(tmp_path, "l.csv", b"path\n/a/\xff.dcm\n") == ["/a/\udcff.dcm"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("id,Path,n\n1,/a.dcm,2\n2,/b.dcm,3\n", ["/a.dcm", "/b.dcm"]),
        ("file,source\nx,/a.dcm\n", ["/a.dcm"]),
        ("/a.dcm\n/b.dcm\n", ["/a.dcm", "/b.dcm"]),
        ("/a.dcm,1\n/b.dcm,2\n", ["/a.dcm", "/b.dcm"]),
        ("images\n/a.dcm\n", ["/a.dcm"]),
        ('path\n"/a, b.dcm"\n\n/c.dcm\n', ["/a, b.dcm", "/c.dcm"]),
        ("n,path\n1\n2,/a.dcm\n", ["/a.dcm"]),
        ("path\n", []),
        ("", []),
    ],
)
def test_csv(tmp_path, text, expected):
    assert listed(tmp_path, "l.csv", text) == expected


def test_csv_without_header_may_hold_names_without_suffix(tmp_path):
    (tmp_path / "IM1").touch()
    assert listed(tmp_path, "l.csv", "IM1\nIM2\n") == [str(tmp_path / "IM1"), str(tmp_path / "IM2")]


def test_csv_whose_columns_say_nothing_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"l\.csv.*'id', 'location'"):
        listed(tmp_path, "l.csv", "id,location\n1,/a.dcm\n")


names = st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="/"), min_size=1).filter(
    lambda name: name.strip() == name
)


@settings(deadline=None, max_examples=50)
@given(entries=st.lists(names.map("/data/{}.dcm".format)), column=st.sampled_from(["path", "SOURCE", "File"]))
def test_what_a_csv_writer_and_a_parquet_writer_wrote_is_read(entries, column, tmp_path_factory):
    folder = tmp_path_factory.mktemp("lists")
    with (folder / "l.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([["n", column], *enumerate(entries)])
    assert read_path_list(folder / "l.csv") == entries
    pq.write_table(pa.table({"n": range(len(entries)), column: pa.array(entries, pa.string())}), folder / "l.parquet")
    assert read_path_list(folder / "l.parquet") == entries
    (folder / "l.txt").write_text("\n".join(entries), encoding="utf-8")
    assert read_path_list(folder / "l.txt") == entries


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.dictionary(pa.int32(), pa.string())])
def test_parquet_with_one_text_column(tmp_path, kind):
    pq.write_table(pa.table({"n": [1, 2], "where": pa.array(["/a", None], kind)}), tmp_path / "l.parquet")
    assert read_path_list(tmp_path / "l.parquet") == ["/a"]


def test_parquet_problems_name_file_and_columns(tmp_path):
    path = tmp_path / "l.parquet"
    pq.write_table(pa.table({"a": ["x"], "b": ["y"]}), path)
    with pytest.raises(ConfigError, match=r"l\.parquet.*'a', 'b'"):
        read_path_list(path)
    pq.write_table(pa.table({"path": [1]}), path)
    with pytest.raises(ConfigError, match="int64"):
        read_path_list(path)
    path.write_bytes(b"no parquet")
    with pytest.raises(SourceError, match=r"l\.parquet"):
        read_path_list(path)
    with pytest.raises(SourceError, match=r"gone\.txt"):
        read_path_list(tmp_path / "gone.txt")
