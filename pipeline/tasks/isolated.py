"""Careful work: a task that killed a worker is done again so that it can only kill a process of its own.

Tasks and results are the same; only the foreign code, decoders and header parsers, runs separately::

    worker ── fresh interpreter: the same task, which writes the same shard
                └─ one process per instance: decodes its frames and sends them

If such a process dies, it is tried once more; if it dies again, the frame, and so its file, fails for that reason. Other
instances of the task are decoded by other processes and aren't affected.
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
from pipeline.tasks.convert_frames import Frame, Job, Place, convert, decode_frames, describe_error, make_failure

ATTEMPTS = 2
"""How often processes may die on one frame, or one header, before it is to blame: some deaths are bad luck. A frame that
ran out of time has had its second try already, because the worker was the first."""


def convert_carefully(task: TaskInput, job: Job) -> TaskResult:
    """Do what :func:`~pipeline.tasks.convert_frames.convert` does, each instance in a process of its own."""
    return call_fresh(_convert, task, job)


def _convert(task: TaskInput, job: Job) -> TaskResult:
    with show_at_work(job.out, job.lock):  # the process may outlive its worker for a moment
        return convert(task, job, decode=decode_apart)


def decode_apart(instance: Instance, frames: range, job: Job, place: Place) -> Iterator[Frame | Failure]:
    """Decode frames in another process; a :data:`~pipeline.tasks.convert_frames.FrameSource` that survives its death."""
    deaths = 0
    while frames:
        for message in run_apart(_decode, (instance, frames, job), seconds=job.frame_seconds, memory=job.decode_memory):
            if isinstance(message, Death):
                deaths += 1
                if is_to_blame(message, deaths):
                    yield _blame_decoder(message, instance, frames[0], job)
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


def is_to_blame(death: Death, deaths: int) -> bool:
    """Return whether this number of deaths of this kind is more than bad luck."""
    return deaths >= ATTEMPTS or death.reason == "timeout"


def _decode(send: Callable[[Any], None], instance: Instance, frames: range, job: Job) -> None:
    """Send each frame with its pixels, or the error that prevents it."""
    pixels = instance.format
    buffer = np.empty(pixels.frame_shape, np.dtype(pixels.dtype).newbyteorder("<"))
    try:
        for frame in decode_frames(instance, frames, job, lambda: buffer):
            send((frame, buffer if isinstance(frame, Frame) else None))
    except ResourceError as error:  # not the file's fault
        send(error)
    except Exception as error:  # noqa: BLE001  any error becomes one that can be sent
        failure = describe_error(error, instance, job)
        send(PipelineError(failure.message, reason=failure.reason, frame=failure.frame))


def _blame_decoder(death: Death, instance: Instance, frame: int, job: Job) -> Failure:
    reason = "decoder_crashed" if death.reason == "crashed" else death.reason
    return make_failure(
        job, instance, reason, f"{instance.source}: the process that decoded a frame was {death.text}", frame
    )


def scan_carefully(
    files: tuple[SourceFile, ...], config: RunConfig, out: OutputDir, segment: int, *, salt: bytes, gate: Gate
) -> scan.ScanResult:
    """Do the work of :func:`pipeline.scan.scan_batch` in a process that a header may kill."""
    return call_fresh(partial(_scan_carefully, salt=salt, gate=gate), files, config, out, segment)


def _scan_carefully(
    files: tuple[SourceFile, ...], config: RunConfig, out: OutputDir, segment: int, *, salt: bytes, gate: Gate
) -> scan.ScanResult:
    """Read the batch until a process gets through it; a file that killed two processes is left out, with its reason."""
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
                    raise RuntimeError(f"the process that reads headers was {message.text}")
                culprit = begun - 1
                deaths[culprit] += 1
                if is_to_blame(message, deaths[culprit]):
                    files = _with_problem(files, culprit, message)
                break


def _with_problem(files: tuple[SourceFile, ...], culprit: int, death: Death) -> tuple[SourceFile, ...]:
    problem = "header_crashed" if death.reason == "crashed" else death.reason
    return (*files[:culprit], replace(files[culprit], problem=problem), *files[culprit + 1 :])


class _Reporter:
    """A watch that tells the parent process of each file."""

    def __init__(self, send: Callable[[Any], None]) -> None:
        self._send = send

    def begin(self) -> None:
        self._send(None)

    def end(self) -> None:
        """Do nothing: the next file's beginning implies the end."""


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
    """Send None at the beginning of each file, then the result, or the error that prevented reading the batch."""
    try:
        send(scan.scan_batch(files, config, out, segment, salt=salt, gate=gate, watch=_Reporter(send)))
    except Exception as error:  # noqa: BLE001  the parent process raises it again
        send(error)
