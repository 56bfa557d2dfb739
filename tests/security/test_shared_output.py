"""An output directory that others may write in: it says neither what runs, nor which files are read, nor which are written."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

import pipeline
from pipeline import runs
from pipeline.catalog import read_facts
from pipeline.config import Cluster, load
from pipeline.runs.trust import find_foreign_sources
from pipeline.storage import OutputDir, describe_other_writers
from support.converted_folders import invoke
from support.dicom_bytes import native_file
from support.shared_results import (
    HERE,
    NOBODY,
    Output,
    as_nobody,
    configuration,
    edit_facts,
    edit_ledger,
    edit_table,
    line,
    needs_root,
    nothing_else_changes,
    shared_folder,
    some_files,
)

BOMB = "import pathlib\npathlib.Path({marker!r}).touch()\nclass Cluster: pass\n"


def open_to_all(out: Path) -> Path:
    """Let others write in an output directory."""
    for path in (out, *out.rglob("*")):
        path.chmod(0o777 if path.is_dir() else 0o666)
    return out


def edit_run_file(out: Path, **sections: Any) -> None:
    values = yaml.safe_load((out / "run.yaml").read_text())
    (out / "run.yaml").write_text(yaml.safe_dump(values | sections))


# --- what runs


@pytest.fixture
def marker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What a class of somebody else's would make, and the module that it is in."""
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs/theirclass.py").write_text(BOMB.format(marker=str(tmp_path / "marker")))
    monkeypatch.syspath_prepend(str(tmp_path / "theirs"))
    return tmp_path / "marker"


def test_a_class_in_a_shared_run_file_is_not_imported(planned: Output, marker: Path) -> None:
    out = planned.path
    edit_run_file(out, cluster={"kind": "custom", "class_name": "theirclass.Cluster"})
    open_to_all(out)
    refused = invoke("resume", str(out))
    assert (refused.exit_code, "everybody can write" in refused.output) == (2, True)
    assert "--trust-output" in refused.output
    trusted = invoke("resume", str(out), "--trust-output", *HERE)
    assert (trusted.exit_code, (out / "catalog.parquet").exists()) == (0, True)
    assert not marker.exists()


def test_a_class_in_a_run_file_of_ones_own_is_named(planned: Output, marker: Path) -> None:
    out = planned.path
    edit_run_file(out, cluster={"kind": "custom", "class_name": "theirclass.Cluster"})
    told = invoke("resume", str(out)).output
    assert "cluster settings from run.yaml: kind custom, class_name theirclass.Cluster" in told
    assert marker.exists()


def test_a_scheduler_in_a_shared_run_file_is_not_called(planned: Output) -> None:
    out = planned.path
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"tcp://127.0.0.1:{server.getsockname()[1]}"
        edit_run_file(out, cluster={"kind": "address", "address": address})
        open_to_all(out)
        assert invoke("resume", str(out)).exit_code == 2
        assert invoke("resume", str(out), "--trust-output", *HERE).exit_code == 0
        assert invoke("verify", str(out), "--source", "--trust-output", "--cluster", "synchronous").exit_code == 0
        server.settimeout(0.2)
        with pytest.raises(TimeoutError):
            server.accept()


def test_storage_settings_of_a_shared_run_file_do_not_count(planned: Output, monkeypatch: pytest.MonkeyPatch) -> None:
    """Credentials would be sent to whatever server it names."""
    out, config = planned.path, planned.config
    edit_run_file(out, storage={"endpoint": "http://127.0.0.1:9", "allow_http": True, "options": {}})
    open_to_all(out)
    seen = []
    run = pipeline.runs.run
    monkeypatch.setattr(pipeline.runs, "run", lambda config, **how: (seen.append(config), run(config, **how))[1])
    assert invoke("resume", str(out), "--trust-output", *HERE).exit_code == 0
    assert (seen[0].storage.endpoint, seen[0].cluster.kind) == ("", "synchronous")
    assert config.exists()


def test_a_run_of_ones_own_goes_on_as_ever(planned: Output) -> None:
    out = planned.path
    told = invoke("resume", str(out))
    assert told.exit_code == 0
    assert "cluster settings from run.yaml: kind synchronous" in told.output


# --- whose it is


@pytest.mark.parametrize(
    "name", ["", "run.yaml", "plan", "plan/plan.json", "plan/1", "plan/1/instances.parquet", "ledger"]
)
@pytest.mark.parametrize("how", ["mode", "owner", "group"])
def test_whoever_could_write_any_of_it_is_named(planned: Output, name: str, how: str) -> None:
    out = planned.path
    path = out / name
    if how == "mode":
        path.chmod(path.stat().st_mode | 0o002)
    elif os.geteuid() != 0:
        pytest.skip("only root can give files away")
    elif how == "owner":
        os.chown(path, NOBODY, -1)
    else:
        os.chown(path, -1, NOBODY)
        path.chmod(path.stat().st_mode | 0o020)
    told = invoke("resume", str(out))
    assert (told.exit_code, str(path) in told.output) == (2, True)
    whose = {"mode": "everybody can write", "owner": "belongs to nobody", "group": "can write"}
    assert whose[how] in told.output


def test_a_private_group_is_nobody_else(planned: Output) -> None:
    """Many systems give each user a group of his own, and let it write."""
    out = planned.path
    for path in (out, *out.rglob("*")):
        path.chmod(0o775 if path.is_dir() else 0o664)
    assert describe_other_writers(out, ["run.yaml", "plan"]) == ""
    assert invoke("resume", str(out)).exit_code == 0


def test_a_folder_above_that_others_can_write(tmp_path: Path, planned: Output) -> None:
    """They could put another output directory in its place."""
    out = tmp_path / "above/out"
    (tmp_path / "above").mkdir()
    planned.path.rename(out)
    (tmp_path / "above").chmod(0o777)
    assert "everybody can write" in invoke("resume", str(out)).output
    (tmp_path / "above").chmod(0o1777)  # as /tmp: nobody can exchange what isn't his
    assert invoke("resume", str(out)).exit_code == 0


@needs_root
def test_an_access_list_speaks_for_others(planned: Output) -> None:
    setfacl = shutil.which("setfacl")
    if setfacl is None:
        pytest.skip("setfacl isn't installed")
    out = planned.path
    out.chmod(0o775)
    subprocess.run([setfacl, "-m", "u:nobody:rwx", str(out)], check=True)
    assert "can write" in describe_other_writers(out)


# --- which files are read


def add_foreign_source(out: Path, source: Path) -> None:
    """Let the plan's first instance be another file."""

    def change(rows: list[dict[str, Any]]) -> None:
        info = source.stat()
        rows[0] |= {"source": str(source), "size": info.st_size, "mtime_ns": info.st_mtime_ns}

    edit_table(out, "instances", change)


def secret_file(folder: Path) -> Path:
    folder.mkdir()
    path = folder / "other-patient.dcm"
    path.write_bytes(native_file(bytes([77] * 256), rows=16, columns=16, SOPInstanceUID="1.2.3.4.1"))
    return path


@pytest.mark.parametrize(
    "command", ["run", "convert", "init", "partition", "partition with config", "resume", "verify"]
)
def test_a_file_that_only_the_plan_names_is_not_read(tmp_path: Path, planned: Output, command: str) -> None:
    out, config = planned.path, planned.config
    secret = secret_file(tmp_path / "secret")
    add_foreign_source(out, secret)
    open_to_all(out)
    given = {
        "run": ("run", str(config)),
        "convert": ("convert", str(planned.sources), str(out), *HERE),
        "init": ("init", str(config)),
        "partition": ("convert-partition", str(out), "0"),
        "partition with config": ("convert-partition", str(out), "0", "--config", str(config)),
        "resume": ("resume", str(out)),
        "verify": ("verify", str(out), "--source", "--cluster", "synchronous"),
    }
    told = invoke(*given[command])
    assert told.exit_code == 2, told.output
    assert "another user could have written" in told.output
    assert "--trust-output" in told.output
    stored = b"".join(path.read_bytes() for path in out.rglob("pixels/c/**/*") if path.is_file())
    assert not stored


def test_trusting_says_so(tmp_path: Path, planned: Output) -> None:
    out, config = planned.path, planned.config
    add_foreign_source(out, secret_file(tmp_path / "secret"))
    open_to_all(out)
    assert invoke("run", str(config), "--trust-output").exit_code in (0, 1)
    assert (out / "catalog.parquet").exists()


def test_ones_own_configuration_goes_on_in_a_shared_folder(planned: Output) -> None:
    out, config = planned.path, planned.config
    open_to_all(out)
    assert invoke("convert-partition", str(out), "0", "--config", str(config)).exit_code == 0
    runs.finalize(out, config=load(config), cluster=Cluster(kind="synchronous"))
    open_to_all(out)
    assert invoke("verify", str(out), "--cluster", "synchronous").exit_code == 0
    checked = ("verify", str(out), "--source", "--cluster", "synchronous")
    assert invoke(*checked).exit_code == 2
    assert invoke(*checked, "--config", str(config)).exit_code == 0
    assert invoke("run", str(config)).exit_code == 0
    assert "settings" in invoke(*checked, "--config", str(config), "--set", "output.shard=1 MiB").output


def test_init_tells_the_commands_for_a_shared_folder(planned: Output) -> None:
    out, config = planned.path, planned.config
    open_to_all(out)
    told = invoke("init", str(config), "--set", "source.hash=true").output
    assert f"convert-partition {out} K --config {config} --set=source.hash=true" in told
    assert f"finalize {out} --config {config} --set=source.hash=true" in told


def test_set_without_a_configuration_is_refused(planned: Output) -> None:
    out = planned.path
    assert "--config" in invoke("convert-partition", str(out), "0", "--set", "output.shard=1 MiB").output


def test_which_sources_are_the_callers(tmp_path: Path) -> None:
    some_files(tmp_path / "in", 2)
    secret = secret_file(tmp_path / "secret")
    (tmp_path / "in/link").symlink_to(tmp_path / "secret")
    out = OutputDir.of(tmp_path / "out")
    values = json.loads(configuration(tmp_path / "in", tmp_path / "out").read_text())

    def left(paths: list[str], *named: str) -> set[str]:
        values["source"] = {"paths": paths}
        return find_foreign_sources(set(named), pipeline.config.from_dict(values), out)

    mine, inside = str(tmp_path / "in/0.dcm"), str(tmp_path / "in/link/other-patient.dcm")
    around = str(tmp_path / "in/../secret/other-patient.dcm")
    assert left([str(tmp_path / "in")], mine, str(secret), inside, around) == {str(secret), inside, around}
    assert left([str(tmp_path / "in/*.dcm")], mine, str(secret)) == {str(secret)}
    assert left([mine], mine, str(tmp_path / "in/1.dcm")) == {str(tmp_path / "in/1.dcm")}
    (tmp_path / "list.txt").write_text(f"{mine}\n")
    assert left([str(tmp_path / "list.txt")], mine, str(secret)) == {str(secret)}
    stored = ["s3://bucket/a"]
    assert left(stored, "s3://bucket/a/b.dcm") == set()


def test_what_is_kept_of_a_scan_is_of_the_files_found(
    tmp_path: Path, planned: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A scan that was interrupted goes on from what it kept; somebody else's files aren't added to it there."""
    out, config = planned.path, planned.config
    secret = secret_file(tmp_path / "secret")
    with monkeypatch.context() as patch:
        patch.setattr("pipeline.catalog.forget_scanned", lambda _: None)
        assert invoke("run", str(config), "--overwrite").exit_code == 0
    kept = out / "plan/scanned/00000000.parquet"
    table = pq.read_table(kept)
    rows = table.to_pylist()
    rows[0]["source"] = str(secret)
    pq.write_table(pa.Table.from_pylist(rows, schema=table.schema), kept)
    (out / "plan/plan.json").unlink()
    (out / "catalog.parquet").unlink()
    assert invoke("run", str(config)).exit_code == 0
    assert {Path(row).parent for row in pq.read_table(out / "catalog.parquet")["source"].to_pylist()} == {
        planned.sources
    }
    images = pipeline.open(out)
    (image,) = images.paths
    assert 77 not in images[image].pixels.compute().values


# --- which files are written and removed


ASTRAY = [
    "../../../foreign/x/y",
    "/foreign/x/y",
    "1/2/../../../../foreign",
    "1/2/3/4",
    "1/2",
    "1/2/zarr.json",
    "1//3",
    "",
    "1/2/..",
]


@pytest.mark.parametrize("path", ASTRAY)
@pytest.mark.parametrize("where", ["images", "stale", "grown"])
def test_a_path_that_leads_out_is_refused(tmp_path: Path, planned: Output, path: str, where: str) -> None:
    out, config = planned.path, planned.config
    foreign = some_files(tmp_path / "foreign/x/y")
    if where == "images":
        edit_table(out, "images", lambda rows: rows[0].update(path=path))
    else:
        edit_facts(out, **{where: [path]})
    for command in (
        ("run", str(config)),
        ("resume", str(out)),
        ("convert-partition", str(out), "0"),
        ("finalize", str(out)),
    ):
        with nothing_else_changes(foreign, planned.sources):
            told = invoke(*command)
        assert (told.exit_code, "isn't an image's path" in told.output) == (2, True), told.output
    assert not list(tmp_path.glob("*/pixels"))
    assert "plan_unreadable" in invoke("verify", str(out), "--cluster", "synchronous").output


@pytest.mark.parametrize("index", ["../../secret", "/etc/passwd", "plan/frames/00000000-1.idx", "run.yaml"])
def test_a_frame_index_lies_in_its_own_place(planned: Output, index: str) -> None:
    out, config = planned.path, planned.config
    edit_table(out, "instances", lambda rows: rows[0].update(frame_index=b"", frame_index_file=index))
    told = invoke("run", str(config))
    assert (told.exit_code, "isn't the place of a frame index" in told.output) == (2, True)


@pytest.mark.parametrize(
    ("table", "values"),
    [
        ("instances", {"number_of_frames": 10**15}),
        ("instances", {"number_of_frames": -1}),
        ("instances", {"rows": 10**9}),
        ("instances", {"dtype": "object"}),
        ("instances", {"segment": -1}),
        ("instances", {"source": None}),
        ("images", {"frames": 10**15}),
        ("images", {"frames": 0}),
        ("images", {"shards": [0, 16, 16]}),
        ("images", {"shards": [10**15, 16, 16]}),
        ("images", {"chunks": []}),
        ("images", {"chunks": [None, 16, 16]}),
        ("spans", {"stop": 2**62}),
        ("spans", {"step": 0}),
        ("spans", {"instance": 99}),
        ("spans", {"instance": -1}),
        ("spans", {"image": 10**12}),
        ("regions", {"frame_stop": 2**62}),
        ("regions", {"frame_start": -4}),
        ("regions", {"image": 7}),
        ("regions", {"task": 10**12}),
        ("tasks", {"id": 5}),
        ("tasks", {"memory_bytes": 2**62}),
    ],
)
def test_numbers_that_cannot_be_are_refused(planned: Output, table: str, values: dict[str, Any]) -> None:
    out, config = planned.path, planned.config
    edit_table(out, table, lambda rows: rows[0].update(values))
    for command in (("run", str(config)), ("status", str(out)), ("convert-partition", str(out), "0")):
        told = invoke(*command)
        assert told.exit_code == 2, (command, told.output)
        assert "plan" in told.output
        assert "unexpected" not in told.output


@pytest.mark.parametrize(
    "facts",
    [
        {"segments": [10**30]},
        {"segments": ["../../x"]},
        {"segments": None},
        {"replaced": [[1, 2, 3]]},
        {"counts": [["a", "b", -1]]},
        {"counts": 5},
        {"id": 5},
        {"settings": []},
        {"files": "many"},
        {"added": -1},
        {"stale": [["a/b/c"]]},
    ],
)
def test_facts_that_cannot_be_are_refused(planned: Output, facts: dict[str, Any]) -> None:
    out, config = planned.path, planned.config
    edit_facts(out, **facts)
    told = invoke("run", str(config))
    assert (told.exit_code, "unexpected" in told.output) == (2, False), told.output


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000,
        '{"format": 2}',
        '{"format": 2, "tables": "../../x", "rows": {}, "facts": {}}',
        '{"format": 2, "tables": 1, "rows": {"images": 1000000000000000}, "facts": {}}',
        "5",
        "",
    ],
)
def test_a_plan_file_that_is_none_is_refused(planned: Output, text: str) -> None:
    out, config = planned.path, planned.config
    (out / "plan/plan.json").write_text(text)
    for command in (("run", str(config)), ("resume", str(out)), ("status", str(out))):
        told = invoke(*command)
        assert (told.exit_code, "unexpected" in told.output) == (2, False), told.output


# --- what memory it takes


def bomb(schema: pa.Schema, column: str, rows: int, size: int) -> pa.Table:
    """A table of which a text, or a number, comes so often that memory can't hold it."""
    values = {field.name: pa.nulls(rows, field.type) for field in schema}
    values[column] = pa.DictionaryArray.from_arrays(pa.array([0] * rows, pa.int32()), ["x" * size])
    return pa.table(values)


@pytest.mark.parametrize("name", ["plan/1/instances.parquet", "plan/segments/00000000.parquet", "catalog.parquet"])
def test_a_table_that_stands_for_more_than_memory_is_not_read(planned: Output, name: str) -> None:
    out, config = planned.path, planned.config
    assert invoke("run", str(config)).exit_code == 0
    schema = pq.read_schema(out / name)
    table = bomb(schema, "source", 65_536, 2**22)
    pq.write_table(table, out / name, compression="zstd", dictionary_pagesize_limit=2**24, store_schema=False)
    assert (out / name).stat().st_size < 2**20  # 256 GiB in a file of a few kilobytes
    seal = json.loads((out / "plan/plan.json").read_bytes())
    seal["rows"]["instances"] = 65_536
    (out / "plan/plan.json").write_text(json.dumps(seal)) if name.startswith("plan/1") else None
    read = {"catalog.parquet": ("verify", str(out), "--cluster", "synchronous")}.get(name, ("run", str(config)))
    told = invoke(*read)
    assert told.exit_code in (1, 2)
    assert "no run of this program can have written that" in told.output


def test_more_rows_than_memory_has_room_for(planned: Output, monkeypatch: pytest.MonkeyPatch) -> None:
    _out, config = planned.path, planned.config
    monkeypatch.setattr("pipeline.catalog.bounded_tables._LEAST_ROW", 2**50)
    assert "more than fit into this machine's memory" in invoke("run", str(config)).output


def test_a_ledger_of_one_endless_line(planned: Output, monkeypatch: pytest.MonkeyPatch) -> None:
    out, config = planned.path, planned.config
    monkeypatch.setattr("pipeline.output.ledger.LONGEST_LINE", 10_000)
    (out / "ledger/000001.jsonl").write_bytes(line({"kind": "ledger", "version": 1, "plan": "x" * 20_000}))
    told = invoke("run", str(config))
    assert (told.exit_code, "a line is longer than any record" in told.output) == (2, True)


# --- what is done


def worse(record: dict[str, Any], change: Callable[[dict[str, Any]], Any]) -> dict[str, Any]:
    if record["kind"] == "task":
        change(record)
    return record


FORGED: list[Callable[[dict[str, Any]], Any]] = [
    lambda record: record.update(task=99),
    lambda record: record.update(task=-1),
    lambda record: record.update(task="0"),
    lambda record: record.update(task=10**400),
    lambda record: record.update(regions=[]) or record.update(regions=[{"image": 9}]),
    lambda record: record["regions"][0].update(image=7),
    lambda record: record["regions"][0].update(frames=[0, 10**15]),
    lambda record: record["regions"][0].update(checksums=""),
    lambda record: record["regions"][0].update(valid="AgIC"),
    lambda record: record["regions"][0].update(stored_bytes=-5),
    lambda record: record["regions"][0].update(digest="x" * 10),
    lambda record: record["outcomes"][0].update(instance=99),
    lambda record: record["outcomes"][0].update(failure={"reason": 5}),
    lambda record: record.update(seconds={"decode": "long"}),
    lambda record: record.update(seconds=5),
    lambda record: record.update(kind="unknown"),
    lambda record: record.clear() or record.update(kind=["task"]),
]


@pytest.mark.parametrize("change", FORGED)
def test_a_forged_result_is_none_and_its_work_is_done_again(planned: Output, change: Callable[..., Any]) -> None:
    out, config = planned.path, planned.config
    assert invoke("run", str(config)).exit_code == 0
    before = {path: path.read_bytes() for path in (out / "images.zarr").rglob("*") if path.is_file()}
    edit_ledger(out, lambda record: worse(record, change))
    assert "ledger_damaged" in invoke("verify", str(out), "--cluster", "synchronous").output
    assert invoke("status", str(out)).exit_code in (0, 1)
    told = invoke("run", str(config))
    assert told.exit_code == 0, told.output
    assert {path: path.read_bytes() for path in (out / "images.zarr").rglob("*") if path.is_file()} == before
    rows = pq.read_table(out / "catalog.parquet")["status"].to_pylist()
    assert rows == ["converted"] * 4


def test_an_image_that_nobody_stored_is_not_complete(planned: Output) -> None:
    out = planned.path
    book = out / "ledger/000001.jsonl"
    book.parent.mkdir(exist_ok=True)
    head = {"kind": "ledger", "version": 1, "plan": read_facts(OutputDir.of(out))["id"]}
    forged = [head, {"kind": "image", "image": 0, "digest": ""}, {"kind": "image", "image": 10**6, "digest": ""}]
    book.write_bytes(b"".join(map(line, forged)))
    told = invoke("verify", str(out), "--cluster", "synchronous")
    assert (told.exit_code, "recorded as complete" in told.output) == (1, True), told.output


@pytest.mark.parametrize(
    "held", ["[" * 4000, "{}", '{"host": 5}', "x" * 5000, '{"host":"h","pid":1,"began":1e999,"started":""}']
)
def test_a_lock_that_names_nobody_holds_nobody_up(planned: Output, held: str) -> None:
    out, config = planned.path, planned.config
    (out / "ledger/run.lock").write_text(held)
    assert invoke("status", str(out)).exit_code in (0, 1)
    assert invoke("run", str(config)).exit_code == 0


@pytest.mark.parametrize(
    "change",
    [
        lambda data: data[:-8],
        lambda data: b"x" + data[1:],
        lambda data: data.replace(b'"number_of_frames":1', b'"number_of_frames":2'),
        lambda data: data.replace(b'"rows":16', b'"rows":99'),
        lambda data: data.replace(b'"frame_bits":2048', b'"frame_bits":10000000000000'),
        lambda data: data.replace(b'"options":{', b'"options":{"x":[[[],[]]],'),
        lambda _: b"",
    ],
)
def test_an_index_that_is_not_the_files_costs_that_file(planned: Output, change: Callable[[bytes], bytes]) -> None:
    out, config = planned.path, planned.config

    def edit(rows: list[dict[str, Any]]) -> None:
        data = change(rows[0]["frame_index"])
        changed = len(data) != len(rows[0]["frame_index"]) and data[:8] == b"D2ZFIDX1"
        size = int.from_bytes(data[8:12], "little") + len(data) - len(rows[0]["frame_index"])
        rows[0]["frame_index"] = data[:8] + size.to_bytes(4, "little") + data[12:] if changed else data

    edit_table(out, "instances", edit)
    told = invoke("run", str(config))
    rows = pq.read_table(out / "catalog.parquet").to_pylist()
    assert (told.exit_code, [row["reason"] for row in rows]) in (
        (1, ["index_damaged", None, None, None]),
        (0, [None] * 4),
    )


@needs_root
def test_another_user_takes_over_a_shared_folder() -> None:
    """The whole attack: root goes on in a folder in which another user has exchanged run.yaml and plan."""
    with shared_folder("takeover") as folder:
        out, config = folder / "out", configuration(some_files(folder / "in"), folder / "out")
        assert invoke("init", str(config), "--partitions", "2").exit_code == 0
        secret = secret_file(folder / "secret")
        secret.chmod(0o600)
        add_foreign_source(
            out, secret
        )  # root's hand, since it is tedious in a shell; the file itself is exchanged below
        out.chmod(0o777)
        forged = "source: {paths: [/]}\noutput: {path: /}\ncluster: {kind: custom, class_name: antigravity.x}\n"
        as_nobody("mv", out / "run.yaml", out / "kept")
        as_nobody("tee", out / "run.yaml", given=forged)
        assert (out / "run.yaml").stat().st_uid == NOBODY
        (out / "kept").unlink()
        for command in (
            ("resume", str(out)),
            ("run", str(config)),
            ("convert-partition", str(out), "0"),
            ("finalize", str(out)),
        ):
            told = invoke(*command)
            assert (told.exit_code, "another user could have written" in told.output) == (2, True), (
                command,
                told.output,
            )
        assert not list((out / "images.zarr").rglob("pixels"))
