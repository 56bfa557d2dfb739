"""Numbers and paths as people read them."""

from __future__ import annotations

_STEP = 1024
_MINUTE, _HOUR = 60, 3600
LONGEST_NAME = 14
"""Characters that are shown of a name in a path; a UID has up to 64."""
ELLIPSIS = "…"


def size(count: float) -> str:
    """Return bytes in binary units: ``1.5 GiB``."""
    value = float(count)
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if abs(value) < _STEP:
            return f"{value:.0f} B" if unit == "B" else f"{value:.1f} {unit}"
        value /= _STEP
    return f"{value:.1f} PiB"


def duration(seconds: float) -> str:
    """Return a time span: ``0.4 s``, ``2 min 5 s``, ``3 h 20 min``."""
    if seconds < _MINUTE:
        return f"{seconds:.1f} s"
    if seconds < _HOUR:
        return f"{seconds // _MINUTE:.0f} min {seconds % _MINUTE:.0f} s"
    return f"{seconds // _HOUR:.0f} h {seconds % _HOUR // _MINUTE:.0f} min"


def number(count: int) -> str:
    """Return a count with separated thousands: ``12,345``."""
    return f"{count:,}"


def counted(count: int, word: str) -> str:
    """Return a count with its noun: ``1 frame``, ``2 frames``."""
    return f"{number(count)} {word}{'' if count == 1 else 's'}"


def ratio(value: float | None) -> str:
    """Return a compression ratio; a dash if it is unknown."""
    return "–" if value is None else f"{value:.2f}×"  # noqa: RUF001  the sign of ratios


def shape(sizes: tuple[int, ...]) -> str:
    """Return an array's shape: ``120 × 512 × 512``."""  # noqa: RUF002  the sign of shapes
    return " × ".join(str(n) for n in sizes)  # noqa: RUF001  the sign of shapes


def compact_shape(sizes: tuple[int, ...]) -> str:
    """Return an array's shape in little space: ``120×512×512``."""  # noqa: RUF002  the sign of shapes
    return "×".join(str(n) for n in sizes)  # noqa: RUF001  the sign of shapes


def short_path(path: str, longest: int = LONGEST_NAME) -> str:
    """Return an image's path with long names shortened to their ends, by which UIDs differ."""
    return "/".join(name if len(name) <= longest else f"{ELLIPSIS}{name[1 - longest :]}" for name in path.split("/"))
