"""The gate: header values, messages and paths pass it before they are written or shown.

Catalog rows, attributes, per-frame arrays, folder names, messages, logs and reports hold only values that the gate returned.
Decoding and `select.where` use the original header, before the gate.

Today the only gate is the identity. Another gate overrides these methods; each action of PS3.15 Annex E has its place:

=====================  ==========================================================================
X, remove              :meth:`Gate.value` returns :data:`REMOVED`, :meth:`Gate.enters` False
Z, empty               :meth:`Gate.value` returns None
D, dummy; C, clean     :meth:`Gate.value` returns another value
U, replace a UID       :meth:`Gate.uid` returns the same UID for every occurrence
shift of dates         :meth:`Gate.for_file` learns the patient, :meth:`Gate.value` shifts
=====================  ==========================================================================
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import ClassVar, Final, NamedTuple

from pipeline.config import RunConfig

Single = str | int | float | bytes
Value = Single | list[Single | None] | None
"""An element's value: a single one, a list of several, None if empty. If it can't be converted, its bytes as text."""


class Removed(Enum):
    """Type of :data:`REMOVED`, which the gate returns to remove an element together with its value."""

    REMOVED = "removed"


REMOVED: Final = Removed.REMOVED


class Element(NamedTuple):
    """An element's place in a header."""

    tag: int
    vr: str
    """Value representation; ``UN`` if it is unknown, or if the value can't be converted."""
    within: tuple[tuple[int, int], ...] = ()
    """Enclosing sequences, outermost first: tag and item number from 0."""
    creator: str = ""
    """Private creator of a private element (PS3.5 7.8.1)."""


@dataclass(frozen=True, slots=True)
class Gate:
    """The identity gate, which changes nothing, and the base of all other gates.

    A gate is a value: it travels with the scan's tasks and in a conversion's :class:`~pipeline.tasks.Job`, and decides
    the same in every process. Readers call :meth:`value` and :meth:`enters` only for gates with `changes`.
    """

    changes: ClassVar[bool] = False
    """Whether the gate may change any header value."""

    @classmethod
    def of(cls, config: RunConfig | None = None) -> Gate:  # noqa: ARG003  the section `deidentify` will decide
        """Return the configuration's gate; without a configuration, the gate for showing a file to its owner."""
        return IDENTITY

    def for_file(self, find: Callable[[int], Value]) -> Gate:  # noqa: ARG002  the identity needs to know nothing
        """Return the gate for one file; `find` returns the file's value of a tag outside of sequences."""
        return self

    def enters(self, element: Element) -> bool:  # noqa: ARG002
        """Return whether a sequence stays, so that the elements of its items pass the gate one by one."""
        return True

    def value(self, element: Element, value: Value) -> Value | Removed:  # noqa: ARG002
        """Return the value to write or show for an element, or :data:`REMOVED`. For sequences, see :meth:`enters`."""
        return value

    def uid(self, uid: str) -> str:
        """Return the replacement for a UID outside of a data set; UIDs of the standard (PS3.6 Annex A) stay."""
        return uid

    def message(self, text: str, *, reason: str = "", source: str = "") -> str:  # noqa: ARG002
        """Return a message about a file that may be shown: `text` may quote header values and holds the path `source`."""
        return text

    def source(self, source: str) -> str:
        """Return the path or URL to show for a file."""
        return source


IDENTITY: Final = Gate()
