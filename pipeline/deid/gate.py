"""The gate: the only door through which header values, messages and paths leave for what is written or shown.

Catalog rows, attributes, per-frame arrays, names of folders, messages, logs and reports hold what the gate returned, and nothing
else that a file says of itself. Decoding and `select.where` use the header as it is, in front of the gate.

Today there is one gate, the identity. Another one overrides these methods; each action of PS3.15 Annex E has its place:

=====================  ==========================================================================
X, remove              :meth:`Gate.value` returns :data:`REMOVED`, :meth:`Gate.enters` False
Z, empty               :meth:`Gate.value` returns None
D, dummy; C, clean     :meth:`Gate.value` returns another value
U, replace a UID       :meth:`Gate.uid`, the same for a UID wherever it stands
shift of dates         :meth:`Gate.for_file` knows the patient, :meth:`Gate.value` shifts
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
"""An element's value: one, a list of several, None if it is empty. Of an element that can't be converted, its bytes as text."""


class Removed(Enum):
    """What stands for a value that the gate keeps back, with its element."""

    REMOVED = "removed"


REMOVED: Final = Removed.REMOVED


class Element(NamedTuple):
    """Where a value stands in a header."""

    tag: int
    vr: str
    """Value representation; ``UN`` if it is unknown, or if the value can't be converted."""
    within: tuple[tuple[int, int], ...] = ()
    """The sequences around it, from the outermost: tag and item number from 0."""
    creator: str = ""
    """Private creator of a private element (PS3.5 7.8.1)."""


@dataclass(frozen=True, slots=True)
class Gate:
    """Lets everything through as it is.

    A gate is a value: it travels with the scan's tasks and in a conversion's :class:`~pipeline.tasks.Job`, and decides
    the same in every process. Only gates with `changes` are asked for each element of a header.
    """

    changes: ClassVar[bool] = False
    """Whether anything of a header may leave the gate other than it came."""

    @classmethod
    def of(cls, config: RunConfig | None = None) -> Gate:  # noqa: ARG003  the section `deidentify` will decide
        """Return the gate that a configuration asks for; without one, that for showing a file to whoever has it."""
        return IDENTITY

    def for_file(self, find: Callable[[int], Value]) -> Gate:  # noqa: ARG002  the identity needs to know nothing
        """Return the gate for one file, of which `find` returns any value outside of sequences by its tag."""
        return self

    def enters(self, element: Element) -> bool:  # noqa: ARG002
        """Whether a sequence stays, so that the elements of its items pass the gate one by one; else it is removed."""
        return True

    def value(self, element: Element, value: Value) -> Value | Removed:  # noqa: ARG002
        """Return what leaves of an element's value, :data:`REMOVED` if the element doesn't; sequences are :meth:`enters`'s."""
        return value

    def uid(self, uid: str) -> str:
        """Return what stands for a UID outside of a data set; those of the standard (PS3.6 Annex A) stay."""
        return uid

    def message(self, text: str, *, reason: str = "", source: str = "") -> str:  # noqa: ARG002
        """Return what may be told of a file: `text` may quote values, and holds the file's path `source`."""
        return text

    def source(self, source: str) -> str:
        """Return what stands for a file's path or URL."""
        return source


IDENTITY: Final = Gate()
