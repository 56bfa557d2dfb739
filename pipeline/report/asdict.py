"""A :class:`RunSummary` → one dictionary of plain values: the content of report.json, and what report.html shows."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.report import shown_paths
from pipeline.report.reason_advice import advice
from pipeline.report.run_summary import ImageLine, RunSummary, Totals
from pipeline.units import counted

SOME_GROWN = 5
STATUSES = ("converted", "failed", "rejected", "skipped")
"""The statuses of catalog rows, in the order of reports."""


def summarise(summary: RunSummary) -> dict[str, Any]:
    """Return a run as plain values, ready for JSON."""
    return {
        "output": summary.out if summary.paths else None,
        "exit_code": summary.exit_code,
        "verdict": verdict(summary),
        "started": summary.started.isoformat(timespec="seconds"),
        "finished": summary.finished.isoformat(timespec="seconds"),
        "seconds": round(summary.seconds, 3),
        "cluster": summary.cluster,
        "files": summary.files,
        "file_bytes": summary.file_bytes,
        "status": {status: summary.count(status) for status in STATUSES},
        "reasons": reasons(summary.status_counts),
        "remarks": list(summary.remarks),
        "totals": _totals(summary.totals),
        "this_run": _this_run(summary),
        "throughput": throughput(summary),
        "throughput_over_time": {
            "slice_seconds": summary.pace.seconds,
            "frames": list(summary.pace.frames),
            "decoded_bytes": list(summary.pace.bytes),
        },
        "seconds_by_phase": _rounded(summary.phase_seconds),
        "seconds_by_stage": _rounded(summary.stage_seconds),
        "by_transfer_syntax": _by_transfer_syntax(summary),
        "by_modality": [{"modality": name, **_totals(totals)} for name, totals in summary.by_modality.items()],
        "images": [_image(image) for image in summary.images],
        "failures": _failures(summary),
        "partly_stored_files": summary.partly_stored_files,
        "partly_stored": [
            {
                "catalog_row": line.row,
                "source": line.source if summary.paths else None,
                "message": shown_paths.hide_paths(summary, line, line.message),
            }
            for line in summary.partly_stored
        ],
        "how_to_open": shown_paths.how_to_open(summary),
        "versions": dict(summary.versions),
    }


def _this_run(summary: RunSummary) -> dict[str, Any]:
    work = summary.this_run
    return {
        "tasks": work.tasks,
        "earlier_tasks": work.earlier_tasks,
        "frames": work.frames,
        "encoded_bytes": work.encoded_bytes,
        "decoded_bytes": work.decoded_bytes,
        "added_files": work.added_files,
        "changed_files": work.changed_files,
        "images_made_anew": list(work.grown),
    }


def _by_transfer_syntax(summary: RunSummary) -> list[dict[str, Any]]:
    return [
        {
            "transfer_syntax_uid": uid,
            "name": summary.transfer_syntax_names.get(uid, ""),
            **_totals(totals),
            "seconds_by_stage": _rounded(summary.syntax_seconds.get(uid, {})),
        }
        for uid, totals in summary.by_transfer_syntax.items()
    ]


def _failures(summary: RunSummary) -> list[dict[str, Any]]:
    return [
        {
            "catalog_row": failure.row,
            "source": failure.source if summary.paths else None,
            "frame": failure.frame,
            "reason": failure.reason,
            "message": shown_paths.hide_paths(summary, failure, failure.message),
            "advice": advice(failure.reason),
        }
        for failure in summary.failures
    ]


def verdict(summary: RunSummary) -> str:
    """Return the outcome in one sentence, with the meaning of the exit code."""
    failed = summary.count("failed")
    if failed:
        outcome = f"{failed:,} of {counted(_rows(summary), 'file')} could not be stored; catalog.parquet says why"
    elif summary.unopened:
        outcome = (
            f"{counted(len(summary.unopened), 'source')} could not be looked into: nothing but archives and empty files"
        )
    elif summary.count("converted"):
        outcome = "nothing failed"
    elif _rows(summary):
        outcome = "nothing failed, but nothing was converted either: no image was found or selected"
    else:
        outcome = "nothing failed, but nothing was converted either: there are no files in the sources"
    if summary.partly_stored_files:
        outcome += f"; of {counted(summary.partly_stored_files, 'converted file')} not everything is stored"
    return f"Exit code {summary.exit_code}: {outcome}."


def _rows(summary: RunSummary) -> int:
    return sum(summary.status_counts.values())


def reasons(counts: Mapping[tuple[str, str], int]) -> list[dict[str, Any]]:
    """Return the count and the advice of each status and reason, by status, the most frequent first.

    Parameters
    ----------
    counts : mapping
        ``(status, reason)`` to a number of files.
    """
    order = {status: position for position, status in enumerate(STATUSES)}
    sorted_counts = sorted(counts.items(), key=lambda item: (order.get(item[0][0], -1), -item[1], item[0][1]))
    return [
        {"status": status, "reason": reason, "count": count, "advice": advice(reason) if reason else ""}
        for (status, reason), count in sorted_counts
        if count
    ]


def throughput(summary: RunSummary) -> dict[str, float]:
    """Return the work of this run's convert phase for each second of wall time; empty if it did nothing."""
    seconds, done = summary.phase_seconds.get("convert", 0.0), summary.this_run
    if not seconds or not done.frames:
        return {}
    return {
        "frames_per_second": round(done.frames / seconds, 2),
        "encoded_bytes_per_second": round(done.encoded_bytes / seconds),
        "decoded_bytes_per_second": round(done.decoded_bytes / seconds),
    }


def describe_earlier_runs(summary: RunSummary) -> list[str]:
    """Return sentences about the work of earlier runs and the files added or changed since; none for a new output."""
    done = summary.this_run
    sentences = []
    if done.earlier_tasks:
        sentences.append(
            f"Earlier runs had finished {counted(done.earlier_tasks, 'task')}; this run did "
            f"{counted(done.tasks, 'task')}, {counted(done.frames, 'frame')}."
        )
    if done.added_files:
        sentences.append(f"{counted(done.added_files, 'file')} came since the output was complete last.")
    if done.changed_files:
        sentences.append(f"{counted(done.changed_files, 'file')} had changed since then.")
    if done.grown:
        some = f"{', '.join(done.grown[:SOME_GROWN])}{_more(done.grown)}"
        sentences.append(f"Converted again, because files of these images were added or changed: {some}.")
    return sentences


def _more(paths: Sequence[str]) -> str:
    return f" and {len(paths) - SOME_GROWN} more" if len(paths) > SOME_GROWN else ""


def _rounded(seconds: Mapping[str, float]) -> dict[str, float]:
    return {name: round(value, 3) for name, value in seconds.items()}


def _totals(totals: Totals) -> dict[str, Any]:
    return {
        "instances": totals.instances,
        "frames": totals.frames,
        "encoded_bytes": totals.encoded_bytes,
        "decoded_bytes": totals.decoded_bytes,
        "stored_bytes": totals.stored_bytes,
        "compression_ratio": None if totals.ratio is None else round(totals.ratio, 3),
    }


def _image(image: ImageLine) -> dict[str, Any]:
    return {
        "path": image.path,
        "status": image.status,
        "modality": image.modality,
        "shape": list(image.shape),
        "dtype": image.dtype,
        "decoded_bytes": image.decoded_bytes,
        "stored_bytes": image.stored_bytes,
        "compression_ratio": None if image.ratio is None else round(image.ratio, 3),
    }


def render_json(summary: RunSummary) -> str:
    """Return report.json."""
    return json.dumps(summarise(summary), indent=1, ensure_ascii=False) + "\n"
