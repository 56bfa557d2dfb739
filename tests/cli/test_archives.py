"""Archives, compressed files and files without bytes: told as what they are, and not passed over as if they held nothing."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import tarfile
import zipfile
from pathlib import Path

import pytest
from numcodecs import Zstd

from pipeline.errors import NotDicomError
from pipeline.frames import read_header
from pipeline.runs.unopened import find_sources_without_others
from support.converted_folders import Converted, convert, invoke
from support.dicom_bytes import native_file

RAW = native_file(bytes(range(16)))
IMAGE = {"i.dcm": RAW}


def zipped(*members: str) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        for name in members:
            archive.writestr(name, RAW)
    return data.getvalue()


def tarred(kind: int = tarfile.GNU_FORMAT, mode: str = "w") -> bytes:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode=mode, format=kind) as archive:
        member = tarfile.TarInfo("ct/i.dcm")
        member.size = len(RAW)
        archive.addfile(member, io.BytesIO(RAW))
    return data.getvalue()


def old_tar() -> bytes:
    """A header of the seventh edition of Unix, which has no mark: only its checksum tells."""
    block = bytearray(tarred(tarfile.USTAR_FORMAT))
    block[257:512] = bytes(255)
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block[:512])
    return bytes(block)


ARCHIVES = {
    "a.dcm.gz": (gzip.compress(RAW), "compressed by gzip"),
    "a.dcm.bz2": (bz2.compress(RAW), "compressed by bzip2"),
    "nothing.bz2": (bz2.compress(b""), "compressed by bzip2"),
    "a.dcm.xz": (lzma.compress(RAW), "compressed by xz"),
    "a.zst": (bytes(Zstd().encode(RAW)), "compressed by zstd"),
    "parallel.zst": (bytes.fromhex("502a4d1804000000") + bytes(4) + bytes(Zstd().encode(RAW)), "compressed by zstd"),
    "a.lz4": (bytes.fromhex("04224d18") + bytes(20), "compressed by lz4"),
    "a.Z": (bytes.fromhex("1f9d90") + bytes(20), "compressed by Unix' compress"),
    "a.zip": (zipped("i.dcm"), "a zip archive"),
    "empty.zip": (zipped(), "a zip archive"),
    "part.z01": (b"PK\7\x08" + zipped("i.dcm"), "a zip archive"),
    "letter.docx": (zipped("[Content_Types].xml"), "a zip archive"),
    "images.zarr.zip": (zipped("zarr.json"), "a zip archive"),
    "a.tar": (tarred(), "a tar archive"),
    "b.tar": (tarred(tarfile.PAX_FORMAT), "a tar archive"),
    "c.tar": (tarred(tarfile.USTAR_FORMAT), "a tar archive"),
    "d.tar": (old_tar(), "a tar archive"),
    "e.tgz": (tarred(mode="w:gz"), "compressed by gzip"),
    "a.7z": (bytes.fromhex("377abcaf271c0004") + bytes(24), "a 7z archive"),
    "a.rar": (b"Rar!\x1a\x07\x01\0" + bytes(24), "a rar archive"),
    "looks like an image.dcm": (gzip.compress(RAW), "compressed by gzip"),
    "IM0001": (zipped("i.dcm"), "a zip archive"),
}
NO_ARCHIVES = {
    "text.zip": b"this is not an archive",
    "short.tar": tarred()[:400],
    "zeros.tar": bytes(2048),
    "PK": b"PK notes on the keeper",
    "BZ": b"BZh notes",
}


@pytest.fixture(scope="module")
def archives(tmp_path_factory: pytest.TempPathFactory) -> Converted:
    return convert(tmp_path_factory.mktemp("archives"), {name: data for name, (data, _) in ARCHIVES.items()})


@pytest.mark.parametrize("name", ARCHIVES)
def test_archives_are_known_by_their_first_bytes(archives: Converted, name: str) -> None:
    row = archives.rows[name]
    assert (row["status"], row["reason"]) == ("rejected", "archive")
    told = f"not DICOM but {ARCHIVES[name][1]}, and not looked into: unpack it first"
    assert row["message"] == f"{archives.folder / name}: {told}"


def test_a_source_of_nothing_but_archives_is_no_success(archives: Converted) -> None:
    assert archives.result.exit_code == 1
    *_, counts, unread, verdict = archives.result.stdout.splitlines()
    assert counts == f"0 converted, 0 failed, {len(ARCHIVES)} rejected, 0 skipped → {archives.out}"
    assert unread.startswith(f"Not looked into: {len(ARCHIVES)} archives ({archives.folder / 'IM0001'}, ")
    assert unread.endswith(f"…): unpack archives first, and run again. Nothing else is in {archives.folder}.")
    assert verdict == "Exit code 1: 1 source could not be looked into: nothing but archives and empty files."
    report = json.loads((archives.out / "report.json").read_text("utf-8"))
    assert (report["exit_code"], report["verdict"]) == (1, verdict)


def test_going_on_and_planning_say_the_same(archives: Converted) -> None:
    again = invoke("convert", str(archives.folder), str(archives.out), "--cluster", "synchronous", "-q")
    assert (again.exit_code, again.stdout.splitlines()) == (1, archives.result.stdout.splitlines()[-3:])
    planned = invoke("convert", str(archives.folder), str(archives.out), "--cluster", "synchronous", "--dry-run")
    assert planned.exit_code == 1
    assert "Exit code 1: 1 source could not be looked into" in planned.stdout


def test_what_only_is_named_like_an_archive_is_none(tmp_path: Path) -> None:
    made = convert(tmp_path / "in", NO_ARCHIVES)
    assert {name: row["reason"] for name, row in made.rows.items()} == dict.fromkeys(NO_ARCHIVES, "not_dicom")
    assert made.result.exit_code == 0
    assert "Not looked into" not in made.result.stdout


def test_a_dicom_file_whose_preamble_is_an_archives_beginning_is_dicom(tmp_path: Path) -> None:
    files = {name: data[:128].ljust(128, b"\0") + RAW[128:] for name, (data, _) in ARCHIVES.items()}
    made = convert(tmp_path / "in", files)
    assert {row["status"] for row in made.rows.values()} <= {"converted", "skipped"}
    assert made.result.exit_code == 0


def test_empty_files(tmp_path: Path) -> None:
    made = convert(tmp_path / "in", {"a.dcm": b"", "b/c": b""})
    assert {(row["status"], row["reason"]) for row in made.rows.values()} == {("rejected", "empty_file")}
    assert made.result.exit_code == 1
    unread = made.result.stdout.splitlines()[-2]
    assert unread == (
        f"Not looked into: 2 empty files ({made.folder / 'a.dcm'}, {made.folder / 'b/c'}). Nothing else is in {made.folder}."
    )


@pytest.mark.parametrize(
    "others", [{"letter.docx": zipped("[Content_Types].xml")}, {"x": b""}, {"a.gz": gzip.compress(RAW)}]
)
def test_one_beside_images_is_told_and_no_failure(tmp_path: Path, others: dict[str, bytes]) -> None:
    made = convert(tmp_path / "in", IMAGE | others)
    assert made.result.exit_code == 0
    *_, unread, verdict = made.result.stdout.splitlines()
    assert unread.startswith("Not looked into: 1 ")
    assert str(made.folder / next(iter(others))) in unread
    assert verdict == "Exit code 0: nothing failed."


@pytest.mark.parametrize(
    ("sources", "unopened"),
    [
        (("full", "packed"), ["packed"]),
        (("full", "packed", "blank"), ["packed", "blank"]),
        (("full", "packed/a.zip"), ["packed/a.zip"]),
        (("full", "p*"), ["p*"]),
        (("full", "*/*.zip"), ["*/*.zip"]),
        (("full", "*"), []),
        ((".",), []),
    ],
    ids=str,
)
def test_each_source_counts(tmp_path: Path, sources: tuple[str, ...], unopened: list[str]) -> None:
    files = {"full/i.dcm": RAW, "packed/a.zip": zipped("i.dcm"), "packed/b.tar": tarred(), "blank/x": b""}
    made = convert(tmp_path / "in", files, sources=sources)
    assert made.result.exit_code == int(bool(unopened)), made.result.output
    told = f"Nothing else is in {', '.join(str(made.folder / one) for one in unopened)}."
    assert (told in made.result.stdout) is bool(unopened)


def test_sources_are_told_apart_however_they_are_named() -> None:
    rows = [
        *(("/d/a/x.gz", "archive"), ("/d/b/y", None), ("file:///d/c/%FF.gz", "archive"), ("s3://k/p/z.gz", "archive")),
        *(("s3://k/q/1.gz", "archive"), ("s3://k/q/2", "not_dicom"), ("/elsewhere/l.gz", "archive")),
    ]
    given = ("/d/a/", "/d/b", "/d/c", "/d", "s3://k/p/", "s3://k/q", "s3://k/*/1.gz", "/lists/l.txt", "/d/a/none")
    assert find_sources_without_others(given, rows) == ("/d/a/", "/d/c", "s3://k/p/", "s3://k/*/1.gz")


def test_other_ways_to_look_at_one_say_so_too(tmp_path: Path) -> None:
    (tmp_path / "a.dcm").write_bytes(gzip.compress(RAW))
    looked = invoke("inspect", str(tmp_path / "a.dcm"))
    assert looked.exit_code == 1
    assert "compressed by gzip" in looked.stdout
    data = io.BytesIO(ARCHIVES["a.dcm.gz"][0])
    with pytest.raises(NotDicomError, match="compressed by gzip, and not looked into: unpack it first") as error:
        read_header(data, source="a.dcm")
    assert error.value.reason == "archive"
