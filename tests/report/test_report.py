"""The report: the numbers that a run gave it, everything escaped, nothing fetched."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from pipeline.errors import OutputError
from pipeline.report import (
    FailureLine,
    Pace,
    RunSummary,
    Sample,
    SampleImage,
    advice,
    reasons,
    render_html,
    render_json,
    summarise,
    throughput,
    verdict,
    write,
)
from pipeline.report.html_pieces import stacked
from pipeline.report.reason_advice import ADVICE
from pipeline.storage import OutputDir
from pipeline.units import counted, duration, ratio, shape, size
from support.run_summaries import NASTY, START, run_summary


class Page(HTMLParser):
    """Collects what a browser would load or run, and checks that tags are closed."""

    VOID = frozenset({"meta", "br", "link", "img"})

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.urls: list[str] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.urls += [value or "" for name, value in attrs if name in {"src", "href", "srcset", "action"}]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in {"rect", "path"}, attrs
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        self.text += data


def test_json_holds_the_runs_numbers() -> None:
    data = json.loads(render_json(run_summary()))
    assert data["status"] == {"converted": 10, "failed": 3, "rejected": 4, "skipped": 3}
    assert (data["exit_code"], data["files"], data["seconds"]) == (1, 20, 100.0)
    assert data["totals"] == {
        "instances": 10,
        "frames": 50,
        "encoded_bytes": 1000,
        "decoded_bytes": 4000,
        "stored_bytes": 500,
        "compression_ratio": 8.0,
    }
    assert data["throughput"]["frames_per_second"] == 2.5
    assert data["throughput"]["decoded_bytes_per_second"] == 200
    assert data["failures"][0] == {
        "catalog_row": 17,
        "source": None,
        "frame": 7,
        "reason": "decode_failed",
        "message": "<b>broken</b>",
        "advice": ADVICE["decode_failed"],
    }
    assert data["images"][1]["compression_ratio"] is None
    assert data["started"] == "2026-11-24T08:00:00+00:00"


def test_reasons_come_by_status_the_most_frequent_first() -> None:
    assert [(line["status"], line["reason"], line["count"]) for line in reasons(run_summary().status_counts)] == [
        ("converted", "", 10),
        ("failed", "decode_failed", 2),
        ("failed", "missing_attribute", 1),
        ("rejected", "not_dicom", 4),
        ("skipped", "duplicate", 3),
    ]


@pytest.mark.parametrize(
    ("counts", "code", "told"),
    [
        ({("converted", ""): 5}, 0, "Exit code 0: nothing failed."),
        ({("converted", ""): 5, ("failed", "x"): 1}, 1, "Exit code 1: 1 of 6 files could not be stored"),
        ({("rejected", "not_dicom"): 1}, 0, "Exit code 0: nothing failed, but nothing was converted either"),
        ({}, 0, "nothing was converted either"),
    ],
)
def test_verdict(counts: dict, code: int, told: str) -> None:
    summary = run_summary(status_counts=counts)
    assert summary.exit_code == code
    assert told in verdict(summary)


def test_html_runs_and_fetches_nothing_and_shows_foreign_text_as_text() -> None:
    html = render_html(run_summary(out="/data/<i>out</i>", cluster="<u>x</u>", versions={"<z>": "1"}, paths=True))
    page = Page(html)
    assert "default-src 'none'" in html
    assert page.open == []
    assert not {"script", "link", "img", "iframe", "i", "b", "u", "z"} & set(page.tags)
    assert page.urls == []
    assert not re.search(r"url\(|@import|https?://", html)
    assert NASTY in page.text
    assert "<b>broken</b> (frame index 7)" in page.text


def test_html_tells_everything() -> None:
    text = Page(render_html(run_summary())).text
    for told in (
        *("Exit code 1", "10", "not_dicom", "5 × 64 × 32", "int16", "1.2/3.4/CT", "8.00×", "200 B/s"),  # noqa: RUF001
        *("Explicit VR Little Endian", "1.2.840.10008.1.2.1", "decode", "row 17", 'dcm2zarr.open(".")', "zarr 3.1.6"),
        *(ADVICE["decode_failed"], "local, 2 workers", "These are the first 1 of 3"),
    ):
        assert told in text


SOURCE = "/archive/Doe John/o'hara/[1].dcm"
TOLD = {
    f"{SOURCE}: cut short": "cut short",
    f"can't open {SOURCE}": "can't open the file",
    "FileNotFoundError: [Errno 2] No such file or directory: '/elsewhere/Doe/x'": (
        "FileNotFoundError: [Errno 2] No such file or directory: '…'"
    ),
    "[Errno 28] No space left on device: '/data/Doe out/plan/1'": (
        "[Errno 28] No space left on device: 'the output directory/plan/1'"
    ),
    "s3://bucket/doe/1.dcm: 404; C:\\Doe\\x is away (file:///doe/y)": "… 404; … is away (…",
    "1.2/3.4/CT: 3 of 7 frames/s, (0028,0010) 'Rows' and/or 1/2": (
        "1.2/3.4/CT: 3 of 7 frames/s, (0028,0010) 'Rows' and/or 1/2"
    ),
}


@pytest.mark.parametrize("message", TOLD)
def test_folders_and_files_are_named_only_where_that_is_asked_for(message: str) -> None:
    summary = run_summary(out="/data/Doe out", failures=(FailureLine(SOURCE, "unreadable", message, row=3),))
    texts = [Page(render_html(summary)).text, json.dumps(json.loads(render_json(summary)), ensure_ascii=False)]
    assert all(TOLD[message] in text for text in texts)
    assert all(not re.search(r"doe|o'hara|elsewhere|bucket|\[1\]", text, re.IGNORECASE) for text in texts)
    assert "row 3" in texts[0]
    data = json.loads(texts[1])
    assert (data["output"], data["failures"][0]["catalog_row"], data["failures"][0]["source"]) == (None, 3, None)
    named = replace(summary, paths=True)
    page, data = Page(render_html(named)).text, json.loads(render_json(named))
    assert (data["output"], data["failures"][0]["source"]) == ("/data/Doe out", SOURCE)
    for told in (SOURCE, message.removeprefix(f"{SOURCE}: "), "dcm2zarr.open('/data/Doe out')"):
        assert told in page


def test_html_stays_small_with_many_images_and_failures() -> None:
    image, failure = run_summary().images[0], run_summary().failures[0]
    summary = run_summary(
        images=(image,) * 3000, failures=(failure,) * 5000, status_counts={("failed", "decode_failed"): 5000}
    )
    text = Page(render_html(summary)).text
    assert text.count("1.2/3.4/CT") == 500
    assert "2,500 more images" in text
    assert text.count("<b>broken</b>") == 1000
    assert "These are the first 1,000 of 5,000; catalog.parquet has them all." in text


def test_the_course_of_the_run_is_drawn() -> None:
    pace = Pace(2.0, (1, 2, 3), (0, 4 * 2**20, 2 * 2**20))
    html = render_html(run_summary(pace=pace))
    told = "1.0 MiB/s on average over 6.0 s, 2.0 MiB/s at most in 2.0 s"
    assert f'aria-label="Decoded bytes per second during the conversion: {told}.' in html
    assert 'd="M0 100.00L0 100.00H1L1 0.00H2L2 50.00H3"' in html
    assert "Throughput" not in Page(render_html(run_summary(pace=Pace(1.0, (1,), (1,))))).text


def test_the_contact_sheet_is_part_of_the_page() -> None:
    images = (
        SampleImage("1.2/3.4/CT", "CT, 5 frames", (Sample(3, b"\xff\xd8"),), patient="<b>Doe^J</b>"),
        SampleImage("1.2/3.5/US", "US", why_not="not shown: it is secret"),
    )
    html = render_html(run_summary(sheet=images))
    page = Page(html)
    assert page.urls == ["data:image/jpeg;base64,/9g="]
    for told in ("CT, 5 frames", "<b>Doe^J</b>", "not shown: it is secret"):
        assert told in page.text
    assert 'alt="frame 3"' in html


def test_shares_of_a_stacked_bar_never_leave_it() -> None:
    html = stacked([("decode", 0.25), ("write", 0.9)]).html
    assert 'x="0.00" width="25.00"' in html
    assert 'x="25.00" width="75.00"' in html


def test_an_empty_run_is_a_report_too() -> None:
    summary = RunSummary(out="/out", started=START, finished=START, status_counts={})
    assert "No files were found." in Page(render_html(summary)).text
    assert summarise(summary)["throughput"] == throughput(summary) == {}


def test_both_files_are_written(tmp_path: Path) -> None:
    write(OutputDir.of(tmp_path), run_summary(failures=(FailureLine("/in/\udcff.dcm", "unreadable", "x"),), paths=True))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["report.html", "report.json"]
    assert json.loads((tmp_path / "report.json").read_text("utf-8"))["failures"][0]["source"] == "/in/\udcff.dcm"
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OutputError, match=r"report\.json can't be written"):
        write(OutputDir.of(tmp_path / "file" / "within"), run_summary())


def test_every_reason_of_the_errors_has_advice() -> None:
    from pipeline import errors  # noqa: PLC0415  looked through here only

    kinds = [
        kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.PipelineError)
    ]
    internal = {
        "error",
        "plan_refused",
        "frame_out_of_range",
        "scheduler_lost",
        "out_of_memory",
        "credentials_refused",
    }  # end the run, or never reach a catalog
    assert {kind.reason for kind in kinds} - internal <= set(ADVICE)
    assert advice("never_heard_of").startswith("The message says")


def test_it_needs_neither_zarr_nor_pyarrow_nor_dask() -> None:
    code = "import sys, pipeline.report; print({'zarr', 'pyarrow', 'dask', 'pydicom'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_units() -> None:
    assert [size(n) for n in (0, 1023, 1536, 64 * 2**20, 2**60)] == [
        "0 B",
        "1023 B",
        "1.5 KiB",
        "64.0 MiB",
        "1024.0 PiB",
    ]
    assert [duration(s) for s in (0.04, 59.9, 125, 12000)] == ["0.0 s", "59.9 s", "2 min 5 s", "3 h 20 min"]
    assert [counted(n, "frame") for n in (0, 1, 1200)] == ["0 frames", "1 frame", "1,200 frames"]
    assert (ratio(None), ratio(2.5)) == ("–", "2.50×")  # noqa: RUF001
    assert shape((1, 2)) == "1 × 2"  # noqa: RUF001
