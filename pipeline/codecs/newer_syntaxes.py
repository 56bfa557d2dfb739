"""Transfer syntaxes of the current standard that pydicom's dictionary lacks."""

from __future__ import annotations

from pydicom._uid_dict import UID_dictionary

from pipeline.model import syntaxes


def add_newer() -> None:
    """Add missing transfer syntaxes to pydicom's dictionary; keep entries of later versions.

    pydicom doesn't accept a UID outside of its dictionary as transfer syntax, and has no public way to add one.
    """
    for uid, name, _, _, keyword in syntaxes.SYNTAXES:
        if keyword:
            UID_dictionary.setdefault(uid, (name, "Transfer Syntax", "", "", keyword))
