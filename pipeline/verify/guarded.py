"""Compare originals so that a decoder's crash, hang or hunger for memory costs no more than the file that it was reading.

As in a conversion, workers compare at full speed under a watch, and the work of a dead worker is done again carefully: in
one process per original. A second decoder that kills two processes isn't used again for that original. If the first decoder
or the header parser kills them, the original can't be decoded any more.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from typing import Any

from pipeline.config import Limits
from pipeline.isolation import Bounds, Death, Watch, call_fresh, guarded, run_apart
from pipeline.storage import OutputDir
from pipeline.tasks import is_to_blame
from pipeline.verify.original_checks import Check, SourceFindings, run_source_checks
from pipeline.verify.originals import FIRST, HEADER, Comparison, SourceCheck, compare
from pipeline.verify.problems import Problem
from pipeline.verify.work import TASK_BYTES


def check_sources(checks: Iterable[Check], out: OutputDir, limits: Limits) -> SourceFindings:
    """Run one task's comparisons; this function travels to the workers."""
    return guarded(
        lambda watch: run_source_checks(checks, lambda check: compare(check, out, partial(_note, watch))),
        lambda: check_sources_carefully(checks, out, limits),
        Bounds(limits.frame_seconds, limits.task_memory + limits.decode_memory),
    )


def _note(watch: Watch, what: str) -> None:
    if what:
        watch.begin()
    else:
        watch.end()


def check_sources_carefully(checks: Iterable[Check], out: OutputDir, limits: Limits) -> SourceFindings:
    """Run the same comparisons with each original in a process of its own."""
    return call_fresh(_carefully, checks, out, limits)


def _carefully(checks: Iterable[Check], out: OutputDir, limits: Limits) -> SourceFindings:
    return run_source_checks(checks, lambda check: compare_apart(check, out, limits))


def compare_apart(check: SourceCheck, out: OutputDir, limits: Limits) -> Comparison:
    """Do the work of :func:`~pipeline.verify.originals.compare` in a process that may die of it."""
    deaths: Counter[str] = Counter()
    memory = limits.decode_memory + 2 * TASK_BYTES
    while True:
        at = ""
        for message in run_apart(_compare, (check, out), seconds=limits.frame_seconds, memory=memory):
            if isinstance(message, Comparison):
                return message
            if isinstance(message, Death):
                deaths[at] += 1
                if not is_to_blame(message, deaths[at]):
                    break
                if at in {HEADER, FIRST, ""}:
                    return _lost(check, at or "the comparison", message)
                check = replace(check, without=check.without | {at})
                break
            at = message or at


def _compare(send: Callable[[Any], None], check: SourceCheck, out: OutputDir) -> None:
    """Send the name of each foreign function before it is called, and finally the comparison."""
    send(compare(check, out, send))


def _lost(check: SourceCheck, at: str, death: Death) -> Comparison:
    text = f"{at}: the process that it ran in was {death.text}"
    problem = Problem("decode_failed", check.gate.source(check.instance.source), text, check.image, check.stored)
    return Comparison(check.position, [problem])
