"""What is given as a source: results of earlier runs among the files, names that are wrong, an output that was forgotten."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from click.testing import Result

from pipeline.scan import find_files
from support.converted_folders import Converted, convert, invoke
from support.dicom_bytes import native_file

FILES = {
    f"{name}.dcm": native_file(bytes([number] * 16), SOPInstanceUID=f"1.2.{number}") for number, name in enumerate("ab")
}


def run(*arguments: str | Path) -> Result:
    return invoke("convert", *map(str, arguments), "--cluster", "synchronous")


def left_out(result: Result) -> list[str]:
    return [line for line in result.stderr.splitlines() if line.startswith("left out: ")]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    for name, content in FILES.items():
        (folder / name).write_bytes(content)
    return folder


def rows(folder: Path, out: Path, result: Result) -> set[str]:
    return set(Converted(folder, out, result).rows)


# results among the sources


@pytest.mark.parametrize("given", ["{data}", "{data}/", "{data}/../data", "{data}/**/*", "{data}/*"])
def test_an_output_inside_of_its_source_is_left_out_and_told(data: Path, given: str) -> None:
    for _ in range(2):  # the second run finds all that the first one has left
        result = run(given.format(data=data), data / "out")
        assert result.exit_code == 0, result.output
        assert left_out(result) == [f"left out: {data / 'out'}, the output itself"]
        assert rows(data, data / "out", result) == set(FILES)


def test_an_output_under_another_name_is_known_by_what_it_is(data: Path) -> None:
    (data / "results").mkdir()
    (data.parent / "link").symlink_to(data / "results")
    result = run(data, data.parent / "link")
    assert result.exit_code == 0, result.output
    assert left_out(result) == [f"left out: {data / 'results'}, the output itself"]
    assert rows(data, data / "results", result) == set(FILES)


@pytest.mark.parametrize("given", ["{data}", "{data}/**/*", "{data}/*/*"])
def test_an_earlier_result_inside_of_a_source_is_left_out_and_told(data: Path, given: str) -> None:
    (data / "deep").mkdir()
    shutil.copy(data / "a.dcm", data / "deep")
    earlier = data / "deep" / "old"
    assert run(data / "a.dcm", earlier).exit_code == 0
    result = run(given.format(data=data), data.parent / "out")
    assert left_out(result) == [f"left out: {earlier}, an earlier result of dcm2zarr"]
    assert {name for name in rows(data, data.parent / "out", result) if "old" in name} == set()
    assert "not_dicom" not in result.stdout


@pytest.mark.parametrize("kept", [("ledger", "plan", "run.yaml"), ("images.zarr", "ledger", "plan")])
def test_a_result_is_known_before_it_is_finished_and_without_its_catalog(data: Path, kept: tuple[str, ...]) -> None:
    earlier = data / "old"
    run(data / "a.dcm", earlier)
    for path in earlier.iterdir():
        if path.name not in kept:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    result = run(data, data.parent / "out")
    assert left_out(result) == [f"left out: {earlier}, an earlier result of dcm2zarr"]
    assert rows(data, data.parent / "out", result) == set(FILES)


@pytest.mark.parametrize("names", [("run.yaml",), ("plan", "ledger"), ("plan", "run.yaml"), ("images.zarr",)])
def test_folders_that_only_share_names_with_a_result_are_walked(data: Path, names: tuple[str, ...]) -> None:
    mine = data / "mine"
    for name in names:
        (mine / name).mkdir(parents=True)
        (mine / name / "x.dcm").write_bytes(FILES["a.dcm"])
    result = run(data, data.parent / "out")
    assert left_out(result) == []
    assert rows(data, data.parent / "out", result) == {*FILES, *(f"mine/{name}/x.dcm" for name in names)}


def test_what_was_put_into_an_earlier_result_is_found(data: Path) -> None:
    run(data / "a.dcm", data / "old")
    (data / "old" / "more").mkdir()
    (data / "old" / "more" / "c.dcm").write_bytes(native_file(bytes(16), SOPInstanceUID="1.2.9"))
    assert rows(data, data.parent / "out", run(data, data.parent / "out")) == {*FILES, "old/more/c.dcm"}


def test_a_result_as_source_is_a_mistake_but_its_catalog_is_a_list(data: Path) -> None:
    old, out = data / "old", data.parent / "out"
    run(data / "a.dcm", old)
    for given in (old, old / "images.zarr", old / "plan"):
        result = run(given, out)
        assert result.exit_code == 2
        assert f"source.paths: {given} is a" in result.stderr
        assert "an earlier result of dcm2zarr: name the folder of the originals" in result.stderr
        assert not out.exists()
    assert rows(data, out, run(old / "catalog.parquet", out)) == {"a.dcm"}


def test_a_listing_asks_nothing_more_of_folders_that_are_no_results(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(20):
        (data / f"d{number}").mkdir()
    asked: list[object] = []
    monkeypatch.setattr("pipeline.catalog.results.has_plan", asked.append)
    assert len(list(find_files([str(data)], exclude=str(data / "out")))) == len(FILES)
    assert asked == []


# names that are wrong


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("dta", "{root}/dta: no such file or folder; did you mean {root}/data?"),
        ("DATA/", "{root}/DATA: no such file or folder; did you mean {root}/data?"),
        ("data/a.dmc", "{root}/data/a.dmc: no such file or folder; did you mean {root}/data/a.dcm"),
        ("dta/ct/1", "{root}/dta/ct/1: there is no 'dta' in {root}; did you mean {root}/data?"),
        ("data/a.dcm/b", "{root}/data/a.dcm/b: no such file or folder"),
        ("data/*.ima", "nothing matches {root}/data/*.ima"),
        ("C:\\data", "paths are written with slashes here"),
        ("gone", "{root}/gone is a link whose target is missing"),
        ("~/nowhere-at-all", "/nowhere-at-all: no such file or folder"),
        ("two words", "{root}/two words: no such file or folder"),
    ],
)
def test_a_source_that_is_not_there_is_told_and_nothing_is_made(
    data: Path, monkeypatch: pytest.MonkeyPatch, given: str, told: str
) -> None:
    monkeypatch.chdir(data.parent)
    (data.parent / "gone").symlink_to(data.parent / "nothing")
    before = sorted(data.parent.rglob("*"))
    for sources in ([given], ["data", given]):
        for options in ([], ["--dry-run"]):
            result = run(*sources, "out", *options)
            assert result.exit_code == 2, result.output
            assert told.format(root=data.parent) in result.stderr
            assert result.stdout == ""
    assert sorted(data.parent.rglob("*")) == before


def test_the_same_in_yaml_and_for_arrays_of_jobs(data: Path) -> None:
    file = data.parent / "run.yaml"
    file.write_text("source: {paths: [data, dta]}\noutput: {path: out}\ncluster: {kind: synchronous}\n", "utf-8")
    for command in ("run", "plan", "init"):
        result = invoke(command, str(file))
        assert (result.exit_code, "did you mean" in result.stderr) == (2, True), result.output
    assert not (data.parent / "out").exists()


def test_several_are_told_at_once(data: Path) -> None:
    result = run(data, *(data / f"x{number}" for number in range(8)), data.parent / "out")
    assert result.stderr.count("no such file or folder") == 5
    assert "… and 3 more" in result.stderr


def test_a_list_of_which_nothing_is_there_is_no_list(data: Path) -> None:
    (data / "notes.txt").write_text("Scanned on Monday.\nThe second one moved.\n", "utf-8")
    result = run(*sorted(data.iterdir()), data.parent / "out")  # as a shell gives data/*
    assert result.exit_code == 2
    assert f"{data / 'notes.txt'} looks like a list of paths, but none of them exists" in result.stderr
    assert not (data.parent / "out").exists()
    (data / "notes.txt").write_text("nowhere.dcm\na.dcm\n", "utf-8")  # of a list with errors, each is a row
    found = Converted(data, data.parent / "out", run(data / "notes.txt", data.parent / "out")).rows
    assert {name: row["reason"] for name, row in found.items()} == {"a.dcm": None, "nowhere.dcm": "file_not_found"}


def test_a_run_goes_on_without_sources_that_have_gone_but_not_with_wrong_ones(data: Path) -> None:
    out, other = data.parent / "out", data.parent / "other"
    other.mkdir()
    (other / "c.dcm").write_bytes(native_file(bytes(16), SOPInstanceUID="1.2.9"))
    assert run(data, other, out).exit_code == 0
    shutil.rmtree(other)
    result = run(data, other, out)
    assert result.exit_code == 0, result.output
    assert "1 file(s) scanned earlier are gone" in result.stderr
    before = {path: path.read_bytes() for path in sorted(out.rglob("*")) if path.is_file()}
    result = run(data, data.parent / "othr", out)
    assert result.exit_code == 2
    assert f"{data.parent / 'othr'}: no such file or folder" in result.stderr
    assert {path: path.read_bytes() for path in sorted(out.rglob("*")) if path.is_file()} == before


# an output that was forgotten


def test_arguments_that_are_missing() -> None:
    assert "the sources and the output directory are missing: dcm2zarr convert SRC... OUT" in run().stderr
    result = run("data/")
    assert result.exit_code == 2
    assert "the output directory, the last argument, is missing: dcm2zarr convert data/ OUT" in result.stderr


@pytest.mark.parametrize(
    ("last", "told"),
    [
        ("b.dcm", "b.dcm is a file. The last argument"),
        ("", "data holds 'a.dcm', which isn't part of a result of dcm2zarr"),
        ("b.dcm/out", "b.dcm/out can't be the output directory: "),
    ],
)
@pytest.mark.parametrize("options", [[], ["--dry-run"], ["--overwrite"]], ids=" ".join)
def test_a_source_in_the_place_of_the_output_is_asked_about(
    data: Path, last: str, told: str, options: list[str]
) -> None:
    before = {path: path.read_bytes() for path in data.parent.rglob("*") if path.is_file()}
    result = run(data / "a.dcm", data / last, *options)
    assert result.exit_code == 2
    assert told in result.stderr
    assert "is the output directory: did you forget to give one?" in result.stderr
    assert {path: path.read_bytes() for path in data.parent.rglob("*") if path.is_file()} == before
    assert sorted(path.name for path in data.iterdir()) == sorted(FILES)  # no folder either


def test_source_and_output_are_one(data: Path) -> None:
    result = run(data, data)
    assert result.exit_code == 2
    assert sorted(path.name for path in data.iterdir()) == sorted(FILES)
    out = convert(data, {}).out
    assert f"source.paths: {out} is the output directory too" in run(out, out).stderr


@pytest.mark.parametrize("name", ["with space", "ünï", "名", "new\nline", "quote's", "[x]", "-dash", "a*b"])
def test_names_that_shells_make_hard_to_give(data: Path, name: str) -> None:
    folder = data.parent / name
    data.rename(folder)
    result = run(folder, data.parent / f"{name} out")
    assert result.exit_code == 0, result.output
    assert rows(folder, data.parent / f"{name} out", result) == set(FILES)


def test_a_folder_without_files_is_told_as_one(data: Path) -> None:
    (data / "empty").mkdir()
    result = run(data / "empty", data.parent / "out")
    assert result.exit_code == 0
    assert "there are no files in the sources" in result.stdout
