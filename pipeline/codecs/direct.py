"""Decoding of one frame without pydicom's runner, whose overhead exceeds the decoding of a small frame.

pydicom's steps before and after a plugin are done here in the same order and to the same bits: colour space by the codestream's
markers, sign, unused high bits, YCbCr to RGB. pydicom handles all other options.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from pydicom.pixels.decoders import base
from pydicom.pixels.processing import convert_color_space

from pipeline.codecs.frame import ITEMSIZES, YBR_FULL, Array, FrameRequest, PreparedFrame, plain_bytes
from pipeline.codecs.plugin import RGB_OPTION
from pipeline.codecs.samples import SampleBits
from pipeline.codecs.syntax_codecs import SERVED, prepare

_REQUIRED: Final = ("rows", "columns", "samples_per_pixel", "bits_allocated", "bits_stored", "pixel_representation")
_UNDERSTOOD: Final = {
    *_REQUIRED,
    *(
        "photometric_interpretation",
        "planar_configuration",
        "number_of_frames",
        "pixel_keyword",
        "pixel_vr",
        "high_bit",
    ),
    *("raw", "validate", "as_rgb", "view_only", "allow_excess_frames", RGB_OPTION),
}
_PROCESSORS: Final = tuple(base.PROCESSORS)


@dataclass(frozen=True, slots=True)
class DirectDecoder:
    """Decodes the frames of one instance, independently of each other."""

    request: FrameRequest
    dtype: np.dtype[Any]
    """Type by Bits Allocated and Pixel Representation."""
    bits: SampleBits
    to_rgb: bool
    """Whether to convert YBR_FULL to RGB."""

    @property
    def shape(self) -> tuple[int, ...]:
        """``(rows, columns)`` or ``(rows, columns, samples)``."""
        plane = (self.request.rows, self.request.columns)
        return plane if self.request.samples_per_pixel == 1 else (*plane, self.request.samples_per_pixel)

    def fills(self, out: Array) -> bool:
        """Return whether :meth:`decode` accepts `out`."""
        return out.shape == self.shape and out.dtype == self.dtype

    def empty(self) -> Array:
        """Return a new array for :meth:`decode`, of the type that the attributes declare."""
        return np.empty(self.shape, self.dtype)

    def decode(self, src: bytes, out: Array | None = None) -> tuple[Array, str] | None:
        """Decode one frame.

        Parameters
        ----------
        src : bytes
            The frame's codestream.
        out : numpy.ndarray, optional
            Target array, of the frame's shape and :attr:`dtype`.

        Returns
        -------
        tuple[numpy.ndarray, str] or None
            `out`, or without it a new array of the smallest type for the codestream's samples, and its Photometric
            Interpretation. None if pydicom must decode the frame.

        Raises
        ------
        CodestreamError
            If the codestream contradicts the attributes or is incomplete. Then `out` may hold anything.
        PixelDataError, RuntimeError, ValueError
            If the codestream is damaged, or of an unsupported kind.
        """
        frame = prepare(src, self.request)
        interpretation = frame.photometric_interpretation
        convert = self.to_rgb and interpretation in YBR_FULL
        spare = self.dtype.itemsize - frame.dtype.itemsize
        if spare < 0 or (spare and convert):
            return None
        in_place = out is not None and _fits(frame, out)
        array = out.view(frame.dtype) if out is not None and in_place else np.empty(frame.shape, frame.dtype)
        frame.decode(array)
        array = self.bits.correct(array, frame.coded)
        if frame.planar:
            array = array.transpose(1, 2, 0)
        if convert:
            array, interpretation = convert_color_space(array, "YBR_FULL", "RGB"), "RGB"
        if out is None:
            return array, interpretation
        if convert or not in_place:
            out[...] = array
        return out, interpretation


def direct_decoder(uid: str, options: Mapping[str, Any]) -> DirectDecoder | None:
    """Return the decoder of one instance's frames; None if pydicom must decode them.

    Parameters
    ----------
    uid : str
        Transfer syntax.
    options : Mapping[str, Any]
        pydicom's decoding options, and ``raw``.
    """
    values = [value for name in _REQUIRED if isinstance(value := options.get(name), int)]
    if uid not in SERVED or not _UNDERSTOOD.issuperset(options) or tuple(base.PROCESSORS) != _PROCESSORS:
        return None
    if options.get("pixel_keyword") != "PixelData" or len(values) < len(_REQUIRED):
        return None
    rows, columns, samples, allocated, stored, representation = values
    if allocated not in ITEMSIZES or representation not in (0, 1):
        return None
    # A single sample has no colour, whatever Photometric Interpretation says.
    to_rgb = bool(options.get("as_rgb", True)) and not options.get("raw", False) and samples > 1
    request = FrameRequest(
        transfer_syntax_uid=uid,
        rows=rows,
        columns=columns,
        samples_per_pixel=samples,
        bits_allocated=allocated,
        photometric_interpretation=str(options["photometric_interpretation"]),
        planar_configuration=options.get("planar_configuration") or 0,
        rgb=to_rgb and bool(options.get(RGB_OPTION, False)) and plain_bytes(allocated, stored, representation),
        conform=True,
    )
    kind = "u" if allocated == 1 else "ui"[representation]
    bits = SampleBits.of(allocated, stored, representation, options.get("high_bit"))
    return DirectDecoder(request, np.dtype(f"<{kind}{ITEMSIZES[allocated]}"), bits, to_rgb)


def _fits(frame: PreparedFrame, out: Array) -> bool:
    """Return whether the codec can write directly into `out`."""
    return out.flags.c_contiguous and not frame.planar and out.dtype.itemsize == frame.dtype.itemsize
