"""The frames of an instance that are converted: a slice or a list, applied to its number of frames."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from pipeline.errors import ConfigError

Frames = range | tuple[int, ...]
_SLICE = re.compile(r"\s*([+-]?[0-9]+)?\s*:\s*([+-]?[0-9]+)?\s*(?::\s*([+-]?[0-9]+)?\s*)?")
_EXPECTED = 'a slice such as "::2", "10:20" or ":-1", or a list of frame indices such as [0, 5, -1]'


def select_frames(setting: str | Sequence[int] | None, number_of_frames: int) -> Frames:
    """Return the selected frame indices (from 0), ascending, each once.

    A selection tells which frames, not their order: ``"::-1"`` selects the same frames as ``"::"``.

    Parameters
    ----------
    setting : str or sequence of int or None
        A Python slice as text, a list of indices (negative ones count from the end; indices that an instance
        lacks are left out), or None for all.
    number_of_frames : int
        Frames of the instance.

    Raises
    ------
    ConfigError
        If `setting` is neither; names the expected forms.
    """
    if setting is None:
        return range(number_of_frames)
    if isinstance(setting, str):
        return _ascending(range(number_of_frames)[parse_slice(setting)])
    indices = [_checked(index) for index in setting]
    wrapped = {index + number_of_frames if index < 0 else index for index in indices}
    return tuple(sorted(index for index in wrapped if 0 <= index < number_of_frames))


def parse_slice(text: str) -> slice:
    """Read a slice from text; ConfigError if it isn't one."""
    match = _SLICE.fullmatch(text)
    if match is None:
        raise ConfigError(f"select.frames: expected {_EXPECTED}, got {text!r}")
    start, stop, step = (None if part is None else int(part) for part in match.groups())
    if step == 0:
        raise ConfigError(f"select.frames: the step of a slice can't be 0, got {text!r}")
    return slice(start, stop, step)


def cut_into_runs(frames: Frames) -> Iterator[range]:
    """Cut ascending `frames` into few ranges of constant step, each with the smallest stop that includes its last frame."""
    if isinstance(frames, range):
        if frames:
            yield _tight(frames[0], frames[-1], frames.step)
        return
    first = 0
    while first < len(frames):
        last = _end_of_run(frames, first)
        yield _tight(frames[first], frames[last], frames[min(first + 1, last)] - frames[first])
        first = last + 1


def _end_of_run(frames: tuple[int, ...], first: int) -> int:
    last = min(first + 1, len(frames) - 1)
    step = frames[last] - frames[first]
    while last + 1 < len(frames) and frames[last + 1] - frames[last] == step:
        last += 1
    return last


def _tight(first: int, last: int, step: int) -> range:
    return range(first, last + 1, step if last > first else 1)


def _ascending(frames: range) -> range:
    return frames if frames.step > 0 else frames[::-1]


def _checked(index: object) -> int:
    if isinstance(index, bool) or not isinstance(index, int):
        raise ConfigError(f"select.frames: expected {_EXPECTED}, got {index!r} in the list")
    return index
