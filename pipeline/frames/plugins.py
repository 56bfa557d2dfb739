"""Decoding plugins: availability, order of trial, and names in the catalog."""

from __future__ import annotations

import importlib.metadata
import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

from pydicom.pixels.decoders.base import Decoder

from pipeline import codecs
from pipeline.errors import ConfigError, UnsupportedTransferSyntaxError
from pipeline.frames.data_set_encoding import transfer_syntax_name
from pipeline.model import syntaxes

_PYDICOM_ORDER = ("gdcm", "pylibjpeg", "pillow", "pyjpegls", "pydicom")
_DISTRIBUTIONS = {"gdcm": "python-gdcm"}
_PYLIBJPEG = {**dict.fromkeys(syntaxes.ANY_JPEG_2000, "openjpeg"), syntaxes.RLE_LOSSLESS: "rle"}
"""Transfer syntax → pylibjpeg's decoder, if it isn't libjpeg."""
_LOGGER = logging.getLogger("pydicom.pixels.decoders.base")


def decoder_for(uid: str, source: str = "") -> Decoder:
    """Return pydicom's decoder for a transfer syntax, with our plugin registered.

    Raises
    ------
    UnsupportedTransferSyntaxError
        If the transfer syntax has no decoder.
    """
    _register()
    try:
        return codecs.decoder_of(uid)
    except NotImplementedError as error:
        name = transfer_syntax_name(uid)
        shown = f"of '{name}'" if name != uid or not uid.strip("0123456789.") else "that isn't a UID"
        raise UnsupportedTransferSyntaxError(
            f"Unable to decode the pixel data as a (0002,0010) 'Transfer Syntax UID' value {shown} is not supported"
            + (f" ({uid})" if name != uid else ""),
            source=source,
        ) from error


@cache
def _register() -> None:
    """Register our plugin once, because each check costs a tenth of scanning a small file."""
    codecs.register()


def plugin_order(decoder: Decoder, plugin: str = "") -> tuple[str, ...]:
    """Return the plugins to try, in order; none for native transfer syntaxes.

    Parameters
    ----------
    decoder : Decoder
    plugin : str
        The only plugin to try; empty for all available ones: ours first, because it is the fastest, then in pydicom's order.

    Raises
    ------
    ValueError
        If no plugin has that name (raised by pydicom).
    RuntimeError
        If the plugin, or every plugin, lacks dependencies (raised by pydicom).
    """
    if decoder.is_native:
        return ()
    available = decoder.available_plugins
    if not available or (plugin and plugin not in available):
        # pydicom checks plugins before it reads data, and its error explains what is missing.
        next(decoder.iter_array(b"", decoding_plugin=plugin, validate=False, number_of_frames=1))
    if plugin:
        return (plugin,)
    rank = {name: position for position, name in enumerate(_PYDICOM_ORDER)}
    return tuple(sorted(available, key=lambda name: (name != codecs.PLUGIN, rank.get(name, 0), name)))


def check_plugin(plugin: str) -> None:
    """Refuse the name of an unknown decoding plugin; an empty name means any plugin.

    Raises
    ------
    ConfigError
        For an unknown name; the message lists the available plugins.
    """
    if not plugin:
        return
    known = {name for uid in syntaxes.BY_UID if (decoder := _decoder(uid)) for name in decoder.available_plugins}
    if plugin not in known:
        raise ConfigError(f"decode.plugin: unknown decoding plugin {plugin!r}; available: {', '.join(sorted(known))}")


def _decoder(uid: str) -> Decoder | None:
    try:
        return decoder_for(uid)
    except UnsupportedTransferSyntaxError:
        return None


@cache
def plugin_label(name: str, uid: str) -> str:
    """Return a plugin's name and version, ``imagecodecs 2026.3.6``, and the codec's if it is a separate package."""
    if name == codecs.PLUGIN:
        return codecs.plugin_version()
    label = f"{name} {_version(_DISTRIBUTIONS.get(name, name))}".strip()
    if name != "pylibjpeg":
        return label
    family = _PYLIBJPEG.get(uid, "libjpeg")
    return f"{label} ({family} {_version(f'pylibjpeg-{family}')})"


def _version(distribution: str) -> str:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return ""


@contextmanager
def quiet_tries() -> Iterator[list[BaseException]]:
    """Suppress pydicom's tracebacks about failed plugins while other plugins are still to be tried.

    Only this thread's records are dropped, and only while the block runs. Yields a list that receives the logged exceptions,
    because pydicom passes on only the text of a plugin's exception.
    """
    here = threading.get_ident()
    raised: list[BaseException] = []

    def keep(record: logging.LogRecord) -> bool:
        if record.thread != here or record.levelno < logging.ERROR:
            return True
        raised.extend(error for error in (record.exc_info or ())[1:2] if isinstance(error, BaseException))
        return False

    _LOGGER.addFilter(keep)
    try:
        yield raised
    finally:
        _LOGGER.removeFilter(keep)
