"""The summary of a run, for people and programs. Pure: plain values in, text out; only :func:`write` writes files."""

from pipeline.report.asdict import STATUSES, describe_earlier_runs, reasons, render_json, summarise, throughput, verdict
from pipeline.report.page import render_html
from pipeline.report.reason_advice import advice
from pipeline.report.report_files import write
from pipeline.report.run_summary import FailureLine, ImageLine, Pace, RunSummary, Sample, SampleImage, ThisRun, Totals

__all__ = [
    "STATUSES",
    "FailureLine",
    "ImageLine",
    "Pace",
    "RunSummary",
    "Sample",
    "SampleImage",
    "ThisRun",
    "Totals",
    "advice",
    "describe_earlier_runs",
    "reasons",
    "render_html",
    "render_json",
    "summarise",
    "throughput",
    "verdict",
    "write",
]
