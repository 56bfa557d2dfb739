"""A run, summed up for people and programs. Pure: plain values in, text out; only :func:`write` touches the disk."""

from pipeline.report.advice import advice
from pipeline.report.asdict import STATUSES, reasons, render_json, summarise, throughput, verdict
from pipeline.report.page import render_html
from pipeline.report.summary import FailureLine, ImageLine, Pace, RunSummary, Sample, SampleImage, Totals
from pipeline.report.writing import write

__all__ = [
    "STATUSES",
    "FailureLine",
    "ImageLine",
    "Pace",
    "RunSummary",
    "Sample",
    "SampleImage",
    "Totals",
    "advice",
    "reasons",
    "render_html",
    "render_json",
    "summarise",
    "throughput",
    "verdict",
    "write",
]
