r"""Foreign text made safe to show: characters that a terminal would obey become escapes.

File names, header values and configurations may hold control characters (ISO/IEC 6429; some move the cursor, change
the window's title or fill the clipboard), line separators, and characters that change the direction of the following
text (Unicode UAX #9). They are shown as ``\x1b``, ``\n``, ``\u202e``.
"""

from __future__ import annotations

import logging
import re
from functools import cache
from typing import Any, Final

_UNPRINTABLE: Final = re.compile(
    "[\0-\x1f\x7f-\x9f"  # C0, DEL, C1
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # marks, embeddings, overrides and isolates of direction
    "\u2028\u2029\ufff9-\ufffb"  # separators of lines and paragraphs, interlinear annotations
    "\U000e0000-\U000e007f]"  # tags, which are invisible
)
_KEPT: Final = "\n"


def printable(text: str) -> str:
    r"""Return `text` as one line; characters that a terminal would obey become Python escapes.

    >>> printable("a\x1b]0;title\x07b\n")
    'a\\x1b]0;title\\x07b\\n'
    """
    return _UNPRINTABLE.sub(_escape, text)


def printable_lines(text: str) -> str:
    """Return `text` like :func:`printable`, but keep its line ends."""
    return _UNPRINTABLE.sub(lambda match: match[0] if match[0] in _KEPT else _escape(match), text)


def _escape(match: re.Match[str]) -> str:
    return match[0].encode("unicode_escape").decode("ascii")


class PrintableRecord(logging.LogRecord):
    """A log record whose text any handler, ours or a library's, can show safely."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.exc_info:
            self.exc_text = printable_lines(logging.Formatter().formatException(self.exc_info))

    def getMessage(self) -> str:  # noqa: N802  logging's name
        """Return the message as one line without characters that a terminal would obey."""
        return printable(super().getMessage())


@cache
def make_logs_printable() -> None:
    """Make all log records of this process printable, those of libraries too; later calls do nothing."""
    logging.setLogRecordFactory(PrintableRecord)
