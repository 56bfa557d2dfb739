"""Walltimes of batch systems, and when a worker retires before its job is ended by one."""

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
"""By batch system, the units of one, two and three numbers between colons."""
_AFTER_DAYS = ((_HOUR,), (_HOUR, _MINUTE), (_HOUR, _MINUTE, _SECOND))
_TIME = re.compile(r"(?:(?P<days>[0-9]+)-)?(?P<parts>[0-9]+(?::[0-9]+){0,2})")


@dataclass(frozen=True, slots=True)
class Lifetime:
    """When a worker retires: `seconds` after its start, give or take up to `stagger` seconds."""

    seconds: int
    stagger: int


def parse_walltime(kind: str, text: object) -> int:
    """Return the seconds that a batch system of this kind takes a walltime for.

    >>> parse_walltime("slurm", "30"), parse_walltime("pbs", "30"), parse_walltime("slurm", "1-12")
    (1800, 30, 129600)

    Raises
    ------
    ConfigError
        For a text that isn't one.
    """
    written = str(text).strip().split("/")[0] if kind == "lsf" else str(text).strip()  # LSF: /host to scale by
    match = _TIME.fullmatch(written)
    numbers = [int(part) for part in match["parts"].split(":")] if match else []
    forms = _AFTER_DAYS if match and match["days"] and kind == "slurm" else _COLONS[kind]
    if not match or len(numbers) > len(forms) or (match["days"] and kind != "slurm"):
        raise ConfigError(f"cluster.options.walltime: {text!r} is no walltime of {kind}; expected one as in '01:00:00'")
    units = forms[len(numbers) - 1]
    seconds = int(match["days"] or 0) * _DAY + sum(n * unit for n, unit in zip(numbers, units, strict=True))
    if not seconds:
        raise ConfigError(f"cluster.options.walltime: {text!r} is no time at all")
    return seconds


def lifetime(walltime: int) -> Lifetime:
    """Return when workers of jobs with this `walltime`, in seconds, retire.

    A tenth before it, at least a minute and at most a quarter of an hour: enough for a task to end. Half of that
    staggers them, so that the jobs started together aren't replaced together.
    """
    margin = min(max(_MINUTE, walltime // 10), _HOUR // 4, walltime // 2)
    return Lifetime(walltime - margin, margin // 2)
