import os
import socket
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.catalog import read_rows, write_segment
from pipeline.errors import ConfigError
from pipeline.model.source_names import local_path, source_of
from pipeline.scan import find_files
from pipeline.scan import patterns as patterns_module


def touched(folder, *names):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x" * len(name))
    return folder


def names_of(folder, *paths, **kwargs):
    return [os.path.relpath(f.source, folder) for f in find_files([str(p) for p in paths], **kwargs)]


def problems_of(folder, *paths):
    return {os.path.relpath(f.source, folder): f.problem for f in find_files([str(p) for p in paths]) if f.problem}


def test_a_walk_gives_whole_paths_in_order_with_size_and_time(tmp_path):
    touched(tmp_path, "b/2", "b/1", "a.dcm", "a/z/q", "a/y", ".hidden/h", "Z")
    files = list(find_files([str(tmp_path)]))
    sources = [f.source for f in files]
    assert sources == sorted(str(p) for p in tmp_path.rglob("*") if p.is_file())
    assert len(sources) == 7
    for file in files:
        info = Path(file.source).stat()
        assert (file.size, file.mtime_ns, file.problem) == (info.st_size, info.st_mtime_ns, "")


def test_each_path_once_however_it_is_given(tmp_path, monkeypatch):
    touched(tmp_path, "a/1.dcm", "a/2.dcm", "b/3.dcm")
    monkeypatch.chdir(tmp_path)
    assert names_of(tmp_path, "a/2.dcm", tmp_path, "a", f"{tmp_path}/b/../a/1.dcm", "**/*.dcm", "./b/3.dcm") == [
        "a/2.dcm",
        "a/1.dcm",
        "b/3.dcm",
    ]


def test_it_is_lazy(tmp_path, monkeypatch):
    touched(tmp_path, "a/1", "b/2")
    listed = []
    real = os.scandir
    monkeypatch.setattr(patterns_module.os, "scandir", lambda path: listed.append(path) or real(path))
    files = find_files([str(tmp_path)])
    assert next(files).source.endswith("a/1")
    assert listed == [str(tmp_path), str(tmp_path / "a")]


def test_links_to_folders_are_told_links_to_files_are_read_broken_ones_are_missing(tmp_path):
    touched(tmp_path, "real/1")
    (tmp_path / "folder").symlink_to(tmp_path / "real")
    (tmp_path / "real/circle").symlink_to(tmp_path)
    (tmp_path / "file").symlink_to(tmp_path / "real/1")
    (tmp_path / "broken").symlink_to(tmp_path / "gone")
    (tmp_path / "self").symlink_to(tmp_path / "self")
    expected = {
        "broken": "file_not_found",
        "folder": "symbolic_link",
        "real/circle": "symbolic_link",
        "self": "unreadable",
    }
    assert problems_of(tmp_path, tmp_path) == expected
    assert set(names_of(tmp_path, tmp_path)) == {*expected, "file", "real/1"}
    assert problems_of(tmp_path, f"{tmp_path}/*", f"{tmp_path}/**/*") == expected
    assert names_of(tmp_path, tmp_path / "folder") == ["folder/1", "folder/circle"]  # named by the user: followed


def test_pipes_sockets_and_devices_are_never_opened(tmp_path, monkeypatch):
    os.mkfifo(tmp_path / "pipe.dcm")
    monkeypatch.chdir(tmp_path)  # the path of a socket must be short
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket")
        assert problems_of(tmp_path, tmp_path) == dict.fromkeys(["pipe.dcm", "socket"], "not_a_regular_file")
    assert problems_of(tmp_path, "pipe.dcm") == {"pipe.dcm": "not_a_regular_file"}
    assert [f.problem for f in find_files(["/dev/null"])] == ["not_a_regular_file"]


def test_missing_paths_are_rows_patterns_without_match_are_mistakes(tmp_path):
    touched(tmp_path, "a.dcm")
    assert problems_of(tmp_path, tmp_path / "gone", tmp_path / "a.dcm/x") == dict.fromkeys(
        ["gone", "a.dcm/x"], "file_not_found"
    )
    with pytest.raises(ConfigError, match=r"nothing matches .*/\*\*/\*\.ima"):
        find_files([str(tmp_path), f"{tmp_path}/**/*.ima"])  # before the first file
    with pytest.raises(ConfigError, match="unknown scheme ftp"):
        find_files(["ftp://server/x"])
    assert names_of(tmp_path, touched(tmp_path, "empty/x") / "empty") == ["empty/x"]


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("*.dcm", ["a.dcm"]),
        ("**/*.dcm", ["a.dcm", "[1]/d.dcm", "s/b.dcm", "s/t/c.dcm"]),
        ("s/**", ["s/.h/e.dcm", "s/b.dcm", "s/n.txt", "s/t/c.dcm"]),
        ("s/*/c.dc?", ["s/t/c.dcm"]),
        ("[s]/*.txt", ["s/n.txt"]),
        ("s/.h/*", ["s/.h/e.dcm"]),
        ("**/t", ["s/t/c.dcm"]),
        ("**/**/c.dcm", ["s/t/c.dcm"]),
        ("[[]1[]]/*", ["[1]/d.dcm"]),
        ("[1]", ["[1]/d.dcm"]),  # there is a folder of that very name
    ],
)
def test_patterns(tmp_path, pattern, expected):
    touched(tmp_path, "a.dcm", "s/b.dcm", "s/n.txt", "s/t/c.dcm", "s/.h/e.dcm", "[1]/d.dcm")
    assert names_of(tmp_path, tmp_path / pattern) == expected


def test_a_list_names_files_folders_and_missing_ones(tmp_path):
    touched(tmp_path, "a/1", "a/2", "b [1]*.dcm", "lists/x")
    (tmp_path / "lists/l.txt").write_text(f"../b [1]*.dcm\n../a\n../a/2\ngone\n{tmp_path}/lists/l.txt\n")
    files = list(find_files([str(tmp_path / "lists/l.txt")]))
    assert [(os.path.relpath(f.source, tmp_path), f.problem) for f in files] == [
        ("b [1]*.dcm", ""),
        ("a/1", ""),
        ("a/2", ""),
        ("lists/gone", "file_not_found"),
        ("lists/l.txt", ""),  # a list in a list is a file like others
    ]


def test_a_file_named_like_a_list_may_be_dicom(tmp_path):
    (tmp_path / "image.txt").write_bytes(b"\0" * 128 + b"DICM")
    assert names_of(tmp_path, tmp_path / "image.txt") == ["image.txt"]


def test_the_output_folder_is_not_entered(tmp_path):
    touched(tmp_path, "a", "out/images.zarr/zarr.json", "out2/b")
    assert names_of(tmp_path, tmp_path, exclude=str(tmp_path / "out")) == ["a", "out2/b"]


def test_a_folder_that_cannot_be_listed_is_a_row(tmp_path, monkeypatch):
    touched(tmp_path, "a/1", "locked/2", "z")
    real = os.scandir

    def refusing(path):
        if Path(path).name == "locked":
            raise PermissionError(13, "Permission denied", path)
        return real(path)

    monkeypatch.setattr(patterns_module.os, "scandir", refusing)
    assert names_of(tmp_path, tmp_path) == ["a/1", "locked", "z"]
    assert problems_of(tmp_path, tmp_path) == {"locked": "unreadable"}
    assert problems_of(tmp_path, tmp_path / "locked") == {"locked": "unreadable"}
    assert problems_of(tmp_path, f"{tmp_path}/**/*.dcm") == {"locked": "unreadable"}


def test_names_that_are_not_utf8_stay_unique_readable_and_open(tmp_path):
    raw = os.fsencode(tmp_path)
    for name in (b"\xff.dcm", b"\\xff.dcm", "ÿ.dcm".encode(), b"%FF.dcm"):
        (Path(os.fsdecode(raw + b"/" + name))).write_bytes(name)
    files = list(find_files([str(tmp_path)]))
    table = tmp_path / "segment.parquet"
    write_segment(table, [{"source": f.source, "status": "pending"} for f in files], {})
    sources = [row["source"] for row in read_rows(table, range(4), ["source"])]
    assert len(set(sources)) == 4
    assert f"file://{tmp_path}/%FF.dcm" in sources
    for source in sources:
        path = local_path(source)
        assert Path(path).read_bytes() == os.fsencode(Path(path).name)
        assert [f.source for f in find_files([source])] == [source]
    assert pq.read_table(table).num_rows == 4


paths = st.lists(st.binary(min_size=1).filter(lambda n: not {0, 47} & set(n) and n not in {b".", b".."}), min_size=1)


@settings(deadline=None, max_examples=100)
@given(parts=paths)
def test_a_source_is_text_and_leads_back_to_its_path(parts):
    path = os.fsdecode(b"/" + b"/".join(parts))
    source = source_of(path)
    source.encode()
    assert local_path(source) == path
    assert source_of(local_path(source)) == source
