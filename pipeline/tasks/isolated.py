"""Careful work: what killed a worker is done again so that it can only kill a process of its own.

The tasks are the same and so are their results; only the foreign code, decoders and header parsers, runs apart::

    worker ── fresh interpreter: the same task, which writes the same shard
                └─ a process for each instance: decodes its frames and sends them

Whatever such a process dies of is tried once more, then it is the reason why that frame, and so its file, failed. Its
neighbours in the task are decoded by other processes and don't notice.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from pipeline import scan
from pipeline.config import RunConfig
from pipeline.deid import Gate
from pipeline.errors import PipelineError, ResourceError
from pipeline.isolation import Death, call_fresh, run_apart
from pipeline.model import Failure, Instance, SourceFile, TaskInput, TaskResult
from pipeline.output import show_at_work
from pipeline.storage import OutputDir
from pipeline.tasks.convert_frames import Frame, Job, Place, convert, decode_frames, failure, failure_of

ATTEMPTS = 2
"""How often a process may die on one frame, or one header, before it is to blame: some deaths are bad luck. One that
ran out of time has had its second try: the worker was the first."""


def convert_carefully(task: TaskInput, job: Job) -> TaskResult:
    """Do what :func:`~pipeline.tasks.convert_frames.convert` does, each instance in a process of its own."""
    return call_fresh(_convert, task, job)


def _convert(task: TaskInput, job: Job) -> TaskResult:
    with show_at_work(job.out, job.lock):  # it may outlive its worker for a moment
        return convert(task, job, decode=decode_apart)


def decode_apart(instance: Instance, frames: range, job: Job, place: Place) -> Iterator[Frame | Failure]:
    """Decode frames in another process: a :data:`~pipeline.tasks.convert_frames.FrameSource` that survives them."""
    deaths = 0
    while frames:
        for message in run_apart(_decode, (instance, frames, job), seconds=job.frame_seconds, memory=job.decode_memory):
            if isinstance(message, Death):
                deaths += 1
                if to_blame(message, deaths):
                    yield _decoder_failure(message, instance, frames[0], job)
                    frames, deaths = frames[1:], 0
                break
            if isinstance(message, PipelineError):
                raise message
            decoded, array = message
            if array is not None:
                place()[...] = array
            yield decoded
            frames, deaths = frames[1:], 0
        else:
            return


def to_blame(death: Death, deaths: int) -> bool:
    """Whether what a process died of, so many times, is more than bad luck."""
    return deaths >= ATTEMPTS or death.reason == "timeout"


def _decode(send: Callable[[Any], None], instance: Instance, frames: range, job: Job) -> None:
    """Send each frame with its pixels, or the error because of which there are none."""
    pixels = instance.format
    buffer = np.empty(pixels.frame_shape, np.dtype(pixels.dtype).newbyteorder("<"))
    try:
        for frame in decode_frames(instance, frames, job, lambda: buffer):
            send((frame, buffer if isinstance(frame, Frame) else None))
    except ResourceError as error:  # no file's fault
        send(error)
    except Exception as error:  # noqa: BLE001  an error of any kind, as one that can be sent
        failure = failure_of(error, instance, job)
        send(PipelineError(failure.message, reason=failure.reason, frame=failure.frame))


def _decoder_failure(death: Death, instance: Instance, frame: int, job: Job) -> Failure:
    reason = "decoder_crashed" if death.reason == "crashed" else death.reason
    return failure(
        job, instance, reason, f"{instance.source}: the process that decoded a frame was {death.text}", frame
    )


def scan_carefully(
    files: tuple[SourceFile, ...], config: RunConfig, out: OutputDir, segment: int, *, salt: bytes, gate: Gate
) -> scan.ScanResult:
    """Do what :func:`pipeline.scan.scan_batch` does, in a process that may die of a header."""
    return call_fresh(partial(_scan_carefully, salt=salt, gate=gate), files, config, out, segment)


def _scan_carefully(
    files: tuple[SourceFile, ...], config: RunConfig, out: OutputDir, segment: int, *, salt: bytes, gate: Gate
) -> scan.ScanResult:
    """Read the batch until a process comes through it; a file on which two died is left out, with its reason."""
    deaths: Counter[int] = Counter()
    while True:
        limits = config.limits
        messages = run_apart(
            partial(_scan, salt=salt, gate=gate),
            (files, config, out, segment),
            seconds=limits.header_seconds,
            memory=limits.decode_memory,
        )
        for begun, message in enumerate(messages):
            if isinstance(message, scan.ScanResult):
                return message
            if isinstance(message, Exception):
                raise message
            if isinstance(message, Death):
                if not begun:
                    raise RuntimeError(f"The process that was to read headers was {message.text}")
                culprit = begun - 1
                deaths[culprit] += 1
                if to_blame(message, deaths[culprit]):
                    files = _with_problem(files, culprit, message)
                break


def _with_problem(files: tuple[SourceFile, ...], culprit: int, death: Death) -> tuple[SourceFile, ...]:
    problem = "header_crashed" if death.reason == "crashed" else death.reason
    return (*files[:culprit], replace(files[culprit], problem=problem), *files[culprit + 1 :])


class _Reporter:
    """A watch that tells the process above of each file."""

    def __init__(self, send: Callable[[Any], None]) -> None:
        self._send = send

    def begin(self) -> None:
        self._send(None)

    def end(self) -> None:
        """Nothing: the next one's beginning says so."""


def _scan(
    send: Callable[[Any], None],
    files: tuple[SourceFile, ...],
    config: RunConfig,
    out: OutputDir,
    segment: int,
    *,
    salt: bytes,
    gate: Gate,
) -> None:
    """Send None for each file begun, then the result, or the error that kept the batch from being read at all."""
    try:
        send(scan.scan_batch(files, config, out, segment, salt=salt, gate=gate, watch=_Reporter(send)))
    except Exception as error:  # noqa: BLE001  raised again by who waits for it
        send(error)
