"""Transfer syntaxes of the current standard that pydicom doesn't know yet, added to its dictionary."""

from __future__ import annotations

from pydicom._uid_dict import UID_dictionary

from pipeline.model import syntaxes


def add_newer() -> None:
    """Add to pydicom's dictionary what it lacks; what later versions have stays.

    pydicom takes a UID that its dictionary lacks for no transfer syntax at all, and offers no way to add one.
    """
    for uid, name, _, _, keyword in syntaxes.SYNTAXES:
        if keyword:
            UID_dictionary.setdefault(uid, (name, "Transfer Syntax", "", "", keyword))
