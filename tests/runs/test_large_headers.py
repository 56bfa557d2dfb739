"""The driver holds no header, however large: another interpreter puts large headers into the catalog."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.runs import completion
from support import header_bombs
from support.converted_folders import convert


def test_the_catalog_is_the_same_whoever_writes_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = {"large.dcm": header_bombs.items_of_elements(3000), "small.dcm": header_bombs.image(SOPInstanceUID="1.2.9")}
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    expected = convert(tmp_path / "a", files)
    called: list[object] = []
    monkeypatch.setattr(completion, "LARGEST_ROWS", 20_000)
    fresh = completion.call_fresh
    monkeypatch.setattr(completion, "call_fresh", lambda function: called.append(fresh(function)))
    found = convert(tmp_path / "b", files)
    assert called == [None]
    rows = [
        {
            name: {key: value for key, value in row.items() if key not in {"source", "mtime_ns"}}
            for name, row in each.rows.items()
        }
        for each in (found, expected)
    ]
    assert rows[0] == rows[1]
    assert len(rows[0]["large.dcm"]["header"]) > 50_000
