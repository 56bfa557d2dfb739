"""Walltimes of batch systems, and the lifetimes of workers, which retire before their job's walltime."""

from __future__ import annotations

import re
from dataclasses import dataclass

from pipeline.errors import ConfigError

_SECOND, _MINUTE, _HOUR, _DAY = 1, 60, 3600, 86400
_COLONS: dict[str, tuple[tuple[int, ...], ...]] = {
    "slurm": ((_MINUTE,), (_MINUTE, _SECOND), (_HOUR, _MINUTE, _SECOND)),
    "pbs": ((_SECOND,), (_MINUTE, _SECOND), (_HOUR, _MINUTE, _SECOND)),
    "sge": ((_SECOND,), (_MINUTE, _SECOND), (_HOUR, _MINUTE, _SECOND)),
    "lsf": ((_MINUTE,), (_HOUR, _MINUTE)),
    "oar": ((_HOUR,), (_HOUR, _MINUTE), (_HOUR, _MINUTE, _SECOND)),
}
"""Batch system → units of one, two and three numbers separated by colons."""
_AFTER_DAYS = ((_HOUR,), (_HOUR, _MINUTE), (_HOUR, _MINUTE, _SECOND))
_TIME = re.compile(r"(?:(?P<days>[0-9]+)-)?(?P<parts>[0-9]+(?::[0-9]+){0,2})")


@dataclass(frozen=True, slots=True)
class Lifetime:
    """A worker's lifetime: `seconds` after its start, plus or minus up to `stagger` seconds."""

    seconds: int
    stagger: int


def parse_walltime(kind: str, text: object) -> int:
    """Return a walltime in seconds, in the notation of a batch system.

    >>> parse_walltime("slurm", "30"), parse_walltime("pbs", "30"), parse_walltime("slurm", "1-12")
    (1800, 30, 129600)

    Raises
    ------
    ConfigError
        For a text that isn't a walltime.
    """
    written = (
        str(text).strip().split("/")[0] if kind == "lsf" else str(text).strip()
    )  # LSF allows a suffix /host for scaling
    match = _TIME.fullmatch(written)
    numbers = [int(part) for part in match["parts"].split(":")] if match else []
    forms = _AFTER_DAYS if match and match["days"] and kind == "slurm" else _COLONS[kind]
    if not match or len(numbers) > len(forms) or (match["days"] and kind != "slurm"):
        raise ConfigError(
            f"cluster.options.walltime: {text!r} isn't a walltime of {kind}; expected a time such as '01:00:00'"
        )
    units = forms[len(numbers) - 1]
    seconds = int(match["days"] or 0) * _DAY + sum(n * unit for n, unit in zip(numbers, units, strict=True))
    if not seconds:
        raise ConfigError(f"cluster.options.walltime: {text!r} is zero; expected a time such as '01:00:00'")
    return seconds


def lifetime(walltime: int) -> Lifetime:
    """Return the lifetime of workers in jobs with a `walltime` in seconds.

    Workers retire a tenth of the walltime early, at least a minute and at most a quarter of an hour, which suffices for a task
    to end. Half of that staggers them, so that jobs that started together aren't replaced together.
    """
    margin = min(max(_MINUTE, walltime // 10), _HOUR // 4, walltime // 2)
    return Lifetime(walltime - margin, margin // 2)
