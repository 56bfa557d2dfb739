r"""Text of others, made fit to be shown: what a terminal would obey, or lay out otherwise, is written as an escape.

File names, header values and configurations may hold control characters (ISO/IEC 6429, among them those that move the
cursor, change the window's title or fill the clipboard), line separators, and characters that turn the direction of
what follows (Unicode UAX #9). Shown, they are ``\x1b``, ``\n``, ``\u202e``.
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
    "\U000e0000-\U000e007f]"  # tags, which are never seen
)
_KEPT: Final = "\n"


def printable(text: str) -> str:
    r"""Return `text` in one line, with every character that a terminal would obey written as Python writes it.

    >>> printable("a\x1b]0;title\x07b\n")
    'a\\x1b]0;title\\x07b\\n'
    """
    return _UNPRINTABLE.sub(_escaped, text)


def printable_lines(text: str) -> str:
    """Return the same of text that has lines: their ends stay."""
    return _UNPRINTABLE.sub(lambda found: found[0] if found[0] in _KEPT else _escaped(found), text)


def _escaped(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape").decode("ascii")


class PrintableRecord(logging.LogRecord):
    """A log record that is fit to be shown by any handler, ours or a library's."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.exc_info:
            self.exc_text = printable_lines(logging.Formatter().formatException(self.exc_info))

    def getMessage(self) -> str:  # noqa: N802  logging's name
        """Return the message in one line, without what a terminal would obey."""
        return printable(super().getMessage())


@cache
def make_logs_printable() -> None:
    """Let all log records of this process be printable ones, those of libraries too; once."""
    logging.setLogRecordFactory(PrintableRecord)
