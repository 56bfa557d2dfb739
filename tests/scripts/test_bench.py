"""The benchmark in short: contenders agree, and tables and plot are written. Its figures mean nothing here."""

from __future__ import annotations

import json
import subprocess

from runner import command, environment

INPUTS = ("jpeg-tiles-no-table", "ct-files")


def test_contenders_agree_and_results_are_written(tmp_path):
    out = tmp_path / "results"
    little = ("--quick", "--share", 0.0005, "--workers", 1, "--folder", tmp_path, "--out", out)
    subprocess.run(
        command("benches", "conversion", *little, "--only", *INPUTS, "planning", "scaling"),
        check=True,
        capture_output=True,
        timeout=1200,
        env=environment(),
    )
    results = json.loads((out / "results.json").read_text("utf-8"))
    assert set(results["throughput"]) == set(INPUTS)
    for row in results["throughput"].values():
        assert set(row["seconds"]) == set(row["frames"]) == {"serial", "delayed", "project", "limit"}
        assert set(row["other_loops"]) == {"one_core", "own_chunks"}
        assert set(row["phases"]) == {"scan", "plan", "convert", "finalise"}
    report = (out / "README.md").read_text("utf-8")
    for heading in ("Frames a second", "Other serial loops", "Where the project's time goes"):
        assert "| JPEG baseline tiles, no offset table |" in report.partition(f"## {heading}")[2].partition("\n## ")[0]
    assert "## Strong scaling" in report
    assert (out / "throughput.svg").read_text("utf-8").count("dcm2zarr") >= 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["results"]
