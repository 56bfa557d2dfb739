"""A run's summary for tests."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from pipeline.report import FailureLine, ImageLine, RunSummary, ThisRun, Totals

START = datetime(2026, 11, 24, 8, tzinfo=UTC)
NASTY = "/in/<script>alert('x')</script>&\"quoted\".dcm"


def run_summary(**changes: object) -> RunSummary:
    summary = RunSummary(
        out="/data/out",
        started=START,
        finished=START + timedelta(seconds=100),
        status_counts={
            ("skipped", "duplicate"): 3,
            ("failed", "missing_attribute"): 1,
            ("failed", "decode_failed"): 2,
            ("rejected", "not_dicom"): 4,
            ("converted", ""): 10,
        },
        files=20,
        file_bytes=2000,
        totals=Totals(10, 50, 1000, 4000, 500),
        this_run=ThisRun(5, 50, 1000, 4000),
        phase_seconds={"scan": 1.0, "convert": 20.0},
        stage_seconds={"decode": 3.0, "write": 1.0},
        images=(
            ImageLine("1.2/3.4/CT", (5, 64, 32), "int16", "CT", 4000, 500),
            ImageLine("1.2/3.5/US", (1, 8, 8, 3), "uint8", "US", 192, None, "failed"),
        ),
        failures=(FailureLine(NASTY, "decode_failed", "<b>broken</b>", 7, row=17),),
        by_transfer_syntax={"1.2.840.10008.1.2.1": Totals(10, 50, 1000, 4000)},
        by_modality={"CT": Totals(10, 50, 1000, 4000)},
        transfer_syntax_names={"1.2.840.10008.1.2.1": "Explicit VR Little Endian"},
        versions={"zarr": "3.1.6"},
        cluster="local, 2 workers",
    )
    return replace(summary, **changes)
