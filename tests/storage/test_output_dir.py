"""Every name below an output directory stands in one file, and travels as a text."""

from __future__ import annotations

import pickle
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path

import pytest

from pipeline.errors import ConfigError, OutputError
from pipeline.storage import OutputDir, storage_options
from support.corpora import REPOSITORY


@pytest.mark.parametrize("name", ["/data/out", "s3://bucket/prefix/out"])
def test_it_travels_as_its_text(name: str) -> None:
    out = OutputDir(name)
    with storage_options(endpoint="https://s3.example.org", region="eu-1"):
        sent = pickle.dumps(out)
    assert pickle.loads(sent) == out  # noqa: S301  our own
    assert len(sent) < len(name) + 64, "more than its text travels"
    assert b"example" not in sent


def test_places_are_reached_with_the_options_that_hold_where_they_are_asked_for() -> None:
    out = OutputDir("s3://bucket/out")
    with storage_options(endpoint="https://s3.example.org"):
        assert out.catalog.options.endpoint == "https://s3.example.org"
    assert out.catalog.options.endpoint == ""


def test_a_text_is_made_absolute_at_the_door(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert OutputDir.of("out") == OutputDir.of(tmp_path / "out") == OutputDir.of(OutputDir(str(tmp_path / "out")))
    assert str(OutputDir.of("s3://bucket/out//")) == "s3://bucket/out"


def test_what_lies_where() -> None:
    out = OutputDir("/o")
    found = {
        "images.zarr/1/2/stack-1": out.image("1/2/stack-1"),
        "plan/aside/images.zarr/1/2/stack-1": out.image("1/2/stack-1", aside=True),
        "plan/aside/replaced": out.replaced,
        "catalog.parquet": out.catalog,
        "plan/plan.json": out.plan_seal,
        "plan/7/images.parquet": out.plan_table(7, "images"),
        "plan/partitions.json": out.partitions,
        "plan/segments/00000012.parquet": out.segment(12),
        "plan/scanned/00000012.parquet": out.scanned_batch(12),
        "plan/scanned/salt": out.scan_salt,
        "plan/frames/00000012-3.idx": out.at(out.frame_index(12, 3)),
        "ledger/run.lock": out.lock(),
        "ledger/partition-3.lock": out.lock(out.partition_lock(3)),
        "report.json": out.report_json,
        "report.html": out.report_html,
        "run.yaml": out.run_file,
        "verify.parquet": out.verdicts,
        "verify.json": out.verify_sum,
    }
    assert {name: str(place) for name, place in found.items()} == {name: f"/o/{name}" for name in found}


@pytest.mark.parametrize("inner", ["../secret", "a/../../b", "/etc/passwd", "a//b", ""])
def test_nothing_leads_out(inner: str) -> None:
    for reach in (OutputDir("/o").at, OutputDir("/o").image, OutputDir("s3://b/o").at):
        with pytest.raises(OutputError) as caught:
            reach(inner)
        assert caught.value.reason == "leads_outside"


def test_a_url_that_cannot_be_used_is_refused_where_it_is_used() -> None:
    with pytest.raises(ConfigError):
        _ = OutputDir("s3://user:secret@bucket/out").catalog


def test_what_lies_in_a_ledger_is_told_by_its_names(tmp_path: Path) -> None:
    out = OutputDir.of(tmp_path)
    assert (out.ledger_segments(), out.next_ledger_segment(), out.partition_locks()) == ([], 1, [])
    (tmp_path / "ledger").mkdir()
    for name in ("1000000.jsonl", "000009.jsonl", "9.jsonl", "run.lock", "partition-2.lock"):
        (tmp_path / "ledger" / name).touch()
    assert out.ledger_segments() == ["000009.jsonl", "1000000.jsonl"]
    assert out.next_ledger_segment() == 1_000_001
    assert out.partition_locks() == ["partition-2.lock"]


def test_names_of_files_that_are_not_whole_yet() -> None:
    names = [".catalog.parquet.7-ab.part", "catalog.parquet", ".other.7-ab.part", ".plan.part"]
    assert [OutputDir.is_temporary(name) for name in names] == [True, False, False, True]


def test_a_second_literal_of_a_name_is_noticed(tmp_path: Path) -> None:
    (tmp_path / "room.py").write_text(
        '"""Writes catalog.parquet."""\n'
        'told = "there is no catalog.parquet in it"\n'
        'clock.phase("plan")\n'
        'a = out / "plan"\n'
        'b = f"{out}/ledger/{name}"\n'
        'c = at("catalog.parquet")\n'
    )
    loader = SourceFileLoader("contracts", str(REPOSITORY / "scripts" / "contracts"))
    contracts = module_from_spec(spec_from_loader("contracts", loader))
    loader.exec_module(contracts)
    found = [line.split(":")[1] for line in contracts.second_names(tmp_path)]
    assert found == ["4", "5", "6"]
    assert not list(contracts.second_names(contracts.PACKAGE))
