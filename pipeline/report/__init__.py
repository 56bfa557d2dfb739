"""A run, summed up for people and programs. Pure: plain values in, text out; only :func:`write` touches the disk."""

from pipeline.report.advice import advice
from pipeline.report.summary import FailureLine, ImageLine, RunSummary, Totals

__all__ = ["FailureLine", "ImageLine", "RunSummary", "Totals", "advice"]
