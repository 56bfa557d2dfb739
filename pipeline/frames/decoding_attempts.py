"""Decoding of one frame by pydicom and one of its plugins, checked against the codestream.

pydicom finds the bytes, calls the plugin and arranges the pixels. Bits of samples and colours are handled here, by the same
rules as for frames that are decoded without pydicom.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from struct import pack
from typing import Any, Final

import numpy.typing as npt
from pydicom.pixels.decoders import base
from pydicom.pixels.decoders.base import Decoder
from pydicom.pixels.processing import convert_color_space

from pipeline import codecs
from pipeline.errors import CodestreamError, DecodeError, PixelDataError, foreign_text
from pipeline.frames.items import ITEM
from pipeline.frames.plugins import plugin_label, quiet_tries

Array = npt.NDArray[Any]

_LONGEST_ITEM = 0xFFFFFFFE
_SIGNS_OF_SIZE = ("reshape", "broadcast", "multiple of element size")
"""Words in NumPy's errors if a decoded frame's size doesn't match rows, columns and samples."""
_RUST_PANIC = "PanicException"
"""Name of the error that plugins in Rust raise on a failed assumption; a BaseException, which pydicom doesn't catch."""
_ALL_FAILED = "Unable to decode as exceptions were raised by all available plugins:\n  "
_PROCESSORS: Final = tuple(base.PROCESSORS)
_CORRECTIONS: Final = ("correct_unused_bits", "apply_j2k_sign_correction", "apply_jls_sign_correction")


@dataclass(frozen=True, slots=True, eq=False)
class DecodedFrame:
    """One decoded frame with its colour space and decoder."""

    array: Array
    """``(rows, columns)`` or ``(rows, columns, samples)``, in the data's byte order."""
    photometric_interpretation: str
    """Colour space of `array`: YBR_FULL becomes RGB unless the caller wants raw frames."""
    decoder: str
    """Plugin and version, ``imagecodecs 2026.3.6``; empty for native data."""

    def cut(self, columns: int) -> DecodedFrame:
        """Return the frame reduced to its first `columns` columns."""
        return replace(self, array=self.array[:, :columns].copy())


class Attempts:
    """Decodes frames of one instance with pydicom.

    Parameters
    ----------
    decoder : pydicom.pixels.decoders.base.Decoder
    uid : str
        Transfer syntax.
    options : Mapping[str, Any]
        pydicom's decoding options, with ``raw``.
    """

    def __init__(self, decoder: Decoder, uid: str, options: Mapping[str, Any]) -> None:
        self._decoder, self._uid = decoder, uid
        self._raw = bool(options.get("raw", False))
        self._options = {name: value for name, value in options.items() if name not in ("raw", "high_bit")}
        self._options |= {"number_of_frames": 1, "validate": False}
        # A caller that has replaced pydicom's processors gets pydicom's own handling of bits and colours too.
        self._finishes = tuple(base.PROCESSORS) == _PROCESSORS
        self._bits = _sample_bits(options) if self._finishes else None
        if self._finishes:
            self._options["correct_unused_bits"] = False

    def native(self, data: bytes | memoryview) -> DecodedFrame:
        """Decode a native frame from its bytes."""
        return self._decode(data, "", codecs.WORDS, as_stored=True)

    def encapsulated(self, codestream: bytes, plugins: tuple[str, ...], *, as_stored: bool) -> DecodedFrame:
        """Decode an encoded frame with the first plugin that succeeds.

        Raises
        ------
        CodestreamError
            If the codestream contradicts the attributes or is incomplete; then no other plugin is tried.
        PixelDataError
            If the only plugin returns a wrong number of pixels, reason ``frame_mismatch``.
        DecodeError
            If no plugin can decode the frame, or its codestream can't be read to check a plugin's output.
        """
        if codecs.stalls_pydicom(codestream):
            raise DecodeError("The JP2 file in the pixel data has a box of length 0 before its codestream")
        failures: list[str] = []
        mismatch: PixelDataError | None = None
        with quiet_tries() as raised:
            for plugin in plugins:
                try:
                    return self._attempt(codestream, plugin, as_stored=as_stored)
                except CodestreamError:
                    raise
                except RuntimeError as error:
                    if isinstance(error, DecodeError) and error.reason != DecodeError.reason:
                        raise
                    _raise_verdict(raised)
                    failures.append(str(error).removeprefix(_ALL_FAILED))
                except PixelDataError as error:
                    failures.append(f"{plugin}: {error}")
                    mismatch = error
        if mismatch is not None and len(failures) == 1:
            raise mismatch
        reason = "memory" if any(isinstance(error, MemoryError) for error in raised) else None
        more = "\n  ".join(failures).split("\n")
        first, _, indent = _ALL_FAILED.partition("\n")
        raise DecodeError(first, more=[indent + more[0], *more[1:]], reason=reason)

    def _attempt(self, codestream: bytes, plugin: str, *, as_stored: bool) -> DecodedFrame:
        request = self._request(plugin)
        try:
            coded = codecs.examine(codestream, request)
        except CodestreamError:
            raise
        except PixelDataError as error:
            unasked = "" if plugin == codecs.PLUGIN else "not tried, because its output can't be checked: "
            raise DecodeError(f"{plugin}: {unasked}{error}") from error
        signed = bool(self._options["pixel_representation"])
        if unfit := codecs.unfit(plugin, codestream, request, coded, signed=signed):
            raise DecodeError(f"{plugin}: not tried, because {unfit}")
        check = None if plugin == codecs.PLUGIN else (codestream, request)
        # Only the bare codestream: plugins convert the colours that a JP2 file's boxes name, pydicom those of the header again.
        return self._decode(_one_item(codecs.bare(codestream)), plugin, coded, as_stored=as_stored, check=check)

    def _request(self, plugin: str) -> codecs.FrameRequest:
        """Return the frame's attributes, to compare its codestream with."""
        options = self._options
        return codecs.FrameRequest(
            transfer_syntax_uid=self._uid,
            rows=options["rows"],
            columns=options["columns"],
            samples_per_pixel=options["samples_per_pixel"],
            bits_allocated=options["bits_allocated"],
            photometric_interpretation=str(options["photometric_interpretation"]),
            planar_configuration=options.get("planar_configuration") or 0,
            rgb=plugin == codecs.PLUGIN and bool(options.get(codecs.RGB_OPTION)) and options.get("as_rgb", True),
            rle_segment_order=options.get("rle_segment_order", ">"),
        )

    def _decode(
        self,
        data: bytes | memoryview,
        plugin: str,
        coded: codecs.Coded,
        *,
        as_stored: bool,
        check: tuple[bytes, codecs.FrameRequest] | None = None,
    ) -> DecodedFrame:
        try:
            array, properties = self._run(data, plugin, as_stored=as_stored)
            if check:
                codecs.require_complete(*check, array)
            array, interpretation = self._finish(array, str(properties["photometric_interpretation"]), coded)
        except (RuntimeError, CodestreamError):
            raise
        except ValueError as error:
            if as_stored or "read-only" not in str(error):
                raise self._mismatch(error) from error
            # pydicom corrects signs in place, which fails for plugins that return immutable bytes; with an index it copies
            # the frame first.
            return self._decode(data, plugin, coded, as_stored=True, check=check)
        except MemoryError as error:
            raise DecodeError(f"Not enough memory for one frame: {error}", reason="memory") from error
        except Exception as error:
            # pydicom also parses codestreams itself, where damage may raise anything.
            raise DecodeError(f"{plugin}: {foreign_text(error)}") from error
        except BaseException as error:
            if type(error).__name__ != _RUST_PANIC:
                raise
            raise DecodeError(f"{plugin}: {error}") from error
        return DecodedFrame(array, interpretation, plugin_label(plugin, self._uid) if plugin else "")

    def _run(self, data: bytes | memoryview, plugin: str, *, as_stored: bool) -> tuple[Array, dict[str, str | int]]:
        """Decode with a new runner, because pydicom's runners carry a frame's state over to the next frame."""
        indices, raw = [0] if as_stored else None, self._raw or self._finishes
        return next(self._decoder.iter_array(data, indices=indices, raw=raw, decoding_plugin=plugin, **self._options))

    def _finish(self, array: Array, interpretation: str, coded: codecs.Coded) -> tuple[Array, str]:
        """Correct the samples' bits and convert colours."""
        if self._bits is not None:
            array = self._bits.correct(array, coded)
        if self._raw or not self._finishes:
            return array, interpretation
        options = self._options
        if options.get("force_ybr", False):
            return convert_color_space(array, "RGB", "YBR_FULL"), "YBR_FULL"
        # A single sample has no colour, whatever Photometric Interpretation says.
        is_ybr = interpretation in codecs.YBR_FULL and options.get("as_rgb", True) and array.ndim > 2  # noqa: PLR2004
        if is_ybr or options.get("force_rgb", False):
            return convert_color_space(array, "YBR_FULL", "RGB"), "RGB"
        return array, interpretation

    def _mismatch(self, error: ValueError) -> PixelDataError:
        if not any(sign in str(error) for sign in _SIGNS_OF_SIZE):
            return PixelDataError(f"The decoded frame can't be processed: {error}")
        return PixelDataError(
            f"The decoded frame contradicts the attributes ({self._options['rows']} rows, "
            f"{self._options['columns']} columns, {self._options['samples_per_pixel']} sample(s)): {error}",
            reason="frame_mismatch",
        )


def _sample_bits(options: Mapping[str, Any]) -> codecs.SampleBits | None:
    """Return the samples' bits in their words; None for floats, or if the caller disabled corrections."""
    if options.get("pixel_keyword") != "PixelData" or not all(options.get(name, True) for name in _CORRECTIONS):
        return None
    allocated, stored, representation = (
        options[name] for name in ("bits_allocated", "bits_stored", "pixel_representation")
    )
    return codecs.SampleBits.of(allocated, stored, representation, options.get("high_bit"))


def _raise_verdict(raised: list[BaseException]) -> None:
    """Raise our plugin's original error about a codestream, because pydicom passes on only its text."""
    for error in raised:
        if isinstance(error, CodestreamError):
            raise error


def _one_item(codestream: bytes) -> bytes:
    """Return a complete pixel data value: an empty offset table and the codestream as one item."""
    if len(codestream) > _LONGEST_ITEM:
        raise PixelDataError(f"The frame has {len(codestream)} encoded bytes, more than an item can hold")
    group, element = ITEM >> 16, ITEM & 0xFFFF
    return pack("<HHLHHL", group, element, 0, group, element, len(codestream)) + codestream
