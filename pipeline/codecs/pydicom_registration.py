"""Registration of the plugin with pydicom's decoders, through their public interface."""

from __future__ import annotations

from threading import Lock
from typing import Final

import imagecodecs
from pydicom.pixels.decoders import base
from pydicom.pixels.decoders.base import Decoder, get_decoder
from pydicom.uid import UID

from pipeline.codecs import plugin
from pipeline.codecs.newer_syntaxes import add_newer
from pipeline.codecs.syntax_codecs import SERVED

PLUGIN: Final = "imagecodecs"
"""The plugin's name in pydicom."""

fast_transfer_syntaxes: Final[frozenset[str]] = SERVED
"""UIDs of the transfer syntaxes that the plugin supports."""

_LOCK = Lock()
add_newer()


def register() -> None:
    """Append the plugin to pydicom's decoder of each of :data:`fast_transfer_syntaxes`.

    If pydicom has no decoder, add one to the table of its ``get_decoder``. Repeated and concurrent calls are safe, unlike those of
    pydicom's ``add_plugin``.
    """
    with _LOCK:
        for uid in sorted(fast_transfer_syntaxes):
            decoder = decoder_of(uid)
            if not _is_known(decoder):
                decoder.add_plugin(PLUGIN, (plugin.__name__, plugin.decode_frame.__name__))


def decoder_of(uid: str) -> Decoder:
    """Return pydicom's decoder for a transfer syntax; add one if pydicom lacks it.

    Raises
    ------
    NotImplementedError
        If neither pydicom nor the plugin supports the transfer syntax.
    """
    syntax = UID(uid)
    try:
        return get_decoder(syntax)
    except NotImplementedError:
        if syntax not in SERVED:
            raise
    # pydicom has no public way to add a transfer syntax, and all its functions use this table.
    return base._PIXEL_DATA_DECODERS.setdefault(syntax, (Decoder(syntax), ""))[0]  # noqa: SLF001


def plugin_version() -> str:
    """Return the decoder's name and version for provenance: ``"imagecodecs 2026.3.6"``."""
    return f"{PLUGIN} {imagecodecs.__version__}"


def _is_known(decoder: Decoder) -> bool:
    # pydicom lists a plugin with a missing codec only among the missing dependencies.
    return PLUGIN in decoder.available_plugins or any(
        text.startswith(f"{PLUGIN} - ") for text in decoder.missing_dependencies
    )
