"""Make the plugin known to pydicom's decoders, through their public interface."""

from __future__ import annotations

from threading import Lock
from typing import Final

import imagecodecs
from pydicom.pixels.decoders import base
from pydicom.pixels.decoders.base import Decoder, get_decoder
from pydicom.uid import UID

from pipeline.codecs import plugin
from pipeline.codecs.families import SERVED
from pipeline.codecs.newer_syntaxes import add_newer

PLUGIN: Final = "imagecodecs"
"""The label under which pydicom knows the plugin."""

fast_transfer_syntaxes: Final[frozenset[str]] = SERVED
"""UIDs of the transfer syntaxes that the plugin serves."""

_LOCK = Lock()
add_newer()


def register() -> None:
    """Add the plugin, after those already there, to pydicom's decoder of each of :data:`fast_transfer_syntaxes`.

    Where pydicom has no decoder, one is added to those that its ``get_decoder`` knows. May be called again, and from several threads: pydicom's ``add_plugin`` on its own is neither idempotent nor
    thread-safe.
    """
    with _LOCK:
        for uid in sorted(fast_transfer_syntaxes):
            decoder = decoder_of(uid)
            if not _is_known(decoder):
                decoder.add_plugin(PLUGIN, (plugin.__name__, plugin.decode_frame.__name__))


def decoder_of(uid: str) -> Decoder:
    """Return pydicom's decoder of a transfer syntax, or else one of ours.

    Raises
    ------
    NotImplementedError
        There is none.
    """
    syntax = UID(uid)
    try:
        return get_decoder(syntax)
    except NotImplementedError:
        if syntax not in SERVED:
            raise
    # pydicom has no public way to add a transfer syntax, and all its functions look into this table.
    return base._PIXEL_DATA_DECODERS.setdefault(syntax, (Decoder(syntax), ""))[0]  # noqa: SLF001


def plugin_version() -> str:
    """Name and version of what decodes, for provenance: ``"imagecodecs 2026.3.6"``."""
    return f"{PLUGIN} {imagecodecs.__version__}"


def _is_known(decoder: Decoder) -> bool:
    # A plugin whose codec is missing is known to pydicom, too, but only named among the missing dependencies.
    return PLUGIN in decoder.available_plugins or any(
        text.startswith(f"{PLUGIN} - ") for text in decoder.missing_dependencies
    )
