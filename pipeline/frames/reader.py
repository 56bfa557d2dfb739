"""Decoding of single frames, in any order and independently of each other."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
from pydicom.pixels.decoders.base import Decoder

from pipeline import codecs
from pipeline.errors import CodestreamError, ConfigError, DecodeError, PipelineError
from pipeline.frames import native
from pipeline.frames.byte_sources import read_bytes
from pipeline.frames.decoding_attempts import Attempts, DecodedFrame
from pipeline.frames.header_reader import open_data_set
from pipeline.frames.index import available_frames, missing_frames
from pipeline.frames.native_fast import plain_frames
from pipeline.frames.plugins import decoder_for, plugin_order
from pipeline.model import FrameIndex

Array = npt.NDArray[Any]

_NO_OPTIONS: Mapping[str, Any] = {}


class FrameReader:
    """Decodes any frame of one instance through its frame index, one at a time.

    The cost of a frame doesn't depend on its position, and its result doesn't depend on frames decoded before. The reader
    holds one frame and its encoded bytes.

    Parameters
    ----------
    file : BinaryIO
        The seekable file of the index; its position moves, and it stays open.
    index : FrameIndex
    raw : bool
        Don't convert YBR_FULL to RGB.
    decoding_plugin : str
        The only plugin to use; empty for all available, the fastest first.
    options : Mapping[str, Any]
        Further decoding options of pydicom (``as_rgb``, ``force_ybr``, ``view_only``, …) and of its plugins.
    source : str
        The file's name for errors.
    as_stored : bool
        Give each frame the type of Bits Allocated, like ``iter_pixels(indices=…)``, instead of the smallest type for its
        codestream's precision.

    Raises
    ------
    UnsupportedTransferSyntaxError
        If the transfer syntax has no decoder.
    ValueError, RuntimeError
        If `decoding_plugin` is unknown or lacks dependencies, or options contradict each other.
    """

    def __init__(
        self,
        file: BinaryIO,
        index: FrameIndex,
        *,
        raw: bool = False,
        decoding_plugin: str = "",
        options: Mapping[str, Any] = _NO_OPTIONS,
        source: str = "",
        as_stored: bool = False,
    ) -> None:
        if options.get("force_rgb") and options.get("force_ybr"):
            raise ConfigError("'force_ybr' and 'force_rgb' cannot both be True")
        self.index = index
        self._file = open_data_set(file, deflated=index.deflated, source=source)
        self._source = source
        self._decoder: Decoder = decoder_for(index.transfer_syntax_uid, source)
        self._plugins = plugin_order(self._decoder, decoding_plugin)
        self._available = available_frames(index)
        self._as_stored = as_stored
        self._swap = not index.encapsulated and native.swaps_pairs(index, options)
        self._view = bool(options.get("view_only", False))
        wanted = {**index.options, **options, "number_of_frames": 1, "raw": raw, "validate": False}
        wanted.pop("extended_offsets", None)
        wanted[codecs.RGB_OPTION] = bool(options.get(codecs.RGB_OPTION, True)) and not raw
        ours_first = self._plugins[:1] == (codecs.PLUGIN,)
        self._direct = codecs.direct_decoder(index.transfer_syntax_uid, wanted) if ours_first else None
        self._plain = None if self._swap or index.encapsulated else plain_frames(index, wanted)
        if self._swap:
            wanted |= {"pixel_vr": "OB", "be_swap_ow": False}
        self._columns = int(wanted["columns"])
        if not index.encapsulated:
            wanted["columns"] += native.filling_columns(index)
        self._attempts = Attempts(self._decoder, index.transfer_syntax_uid, wanted)

    def expect(self, frames: Iterable[int]) -> None:
        """Announce the next frames in reading order, so that a remote file fetches them ahead."""
        expect = getattr(self._file, "expect", None)
        if expect is not None:
            valid = (frame for frame in frames if isinstance(frame, int) and 0 <= frame < self._available)
            expect((offset, offset + length) for frame in valid for offset, length in self.index.ranges(frame))

    def read(self, frame: int) -> DecodedFrame:
        """Decode one frame.

        Parameters
        ----------
        frame : int
            Frame index, from 0.

        Raises
        ------
        FrameIndexError
            If the instance has no such frame.
        PixelDataError
            If the frame's bytes are missing, or its codestream contradicts the attributes (reason ``frame_mismatch``).
        DecodeError
            If no plugin can decode the frame, or the frame is incomplete.
        """
        self.index.check(frame)
        try:
            if frame >= self._available:
                raise missing_frames(self.index, self._source)
            return self._encapsulated(frame) if self.index.encapsulated else self._native(frame)
        except PipelineError as error:
            error.source, error.frame = error.source or self._source, frame
            raise

    def read_as(self, frame: int, dtype: npt.DTypeLike) -> DecodedFrame:
        """Decode one frame and convert it to `dtype`, which must be able to hold all values.

        Raises
        ------
        DecodeError
            If `dtype` can't hold a value, or the shape isn't the declared one; reason ``frame_mismatch``.
        """
        decoded = self.read(frame)
        wanted = np.dtype(dtype)
        if decoded.array.dtype == wanted:
            return decoded
        array = decoded.array.astype(wanted, copy=False)
        if not np.can_cast(decoded.array.dtype, wanted) and not np.array_equal(array, decoded.array):
            raise DecodeError(
                f"Frame {frame} decodes to {decoded.array.dtype} values that {wanted} can't hold",
                reason="frame_mismatch",
                source=self._source,
                frame=frame,
            )
        return DecodedFrame(array, decoded.photometric_interpretation, decoded.decoder)

    def read_into(self, frame: int, out: Array) -> DecodedFrame:
        """Decode one frame into `out`, with the same values as :meth:`read_as` for the type of `out`.

        Parameters
        ----------
        frame : int
            Frame index, from 0.
        out : numpy.ndarray
            Writeable, of the frame's shape, for instance one frame of a shard. If decoding fails, it is filled with zeros.

        Returns
        -------
        DecodedFrame
            The frame; its ``array`` is `out`.

        Raises
        ------
        DecodeError
            As for :meth:`read_as`; also if the frame's shape isn't that of `out`, reason ``frame_mismatch``.
        """
        try:
            if (
                self._plain is not None
                and 0 <= frame < self._available
                and self._plain.read_into(self._file, frame, out)
            ):
                return DecodedFrame(out, self._plain.photometric_interpretation, "")
            if self._direct is not None and self._direct.fills(out) and 0 <= frame < self._available:
                decoded = self._decode_directly(self._encoded(frame), out)
                if decoded is not None:
                    return decoded
            decoded = self.read_as(frame, out.dtype)
            self._require_shape(frame, decoded.array, out)
            out[...] = decoded.array
        except BaseException:
            out[...] = 0
            raise
        return DecodedFrame(out, decoded.photometric_interpretation, decoded.decoder)

    def _require_shape(self, frame: int, array: Array, out: Array) -> None:
        if array.shape != out.shape:
            raise DecodeError(
                f"Frame {frame} decodes to an array of shape {array.shape}, not {out.shape}",
                reason="frame_mismatch",
                source=self._source,
                frame=frame,
            )

    def _native(self, frame: int) -> DecodedFrame:
        data = native.read_native(self._file, self.index, frame, swap=self._swap, view=self._view)
        decoded = self._attempts.native(data.data)
        return decoded if decoded.array.shape[1] == self._columns else decoded.cut(self._columns)

    def _encapsulated(self, frame: int) -> DecodedFrame:
        codestream = self._encoded(frame)
        out = self._direct.empty() if self._direct is not None and self._as_stored else None
        decoded = self._decode_directly(codestream, out)
        return decoded or self._attempts.encapsulated(codestream, self._plugins, as_stored=self._as_stored)

    def _encoded(self, frame: int) -> bytes:
        """Return the frame's codestream: its joined fragments."""
        pieces = [read_bytes(self._file, offset, length) for offset, length in self.index.ranges(frame)]
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _decode_directly(self, codestream: bytes, out: Array | None) -> DecodedFrame | None:
        """Decode without pydicom's runner if the result is the same; return None if pydicom must decode."""
        try:
            decoded = self._direct.decode(codestream, out) if self._direct is not None else None
        except CodestreamError:
            raise
        except Exception:  # noqa: BLE001  codecs are foreign code; pydicom tries again and reports the problem
            return None
        if decoded is None:
            return None
        array, interpretation = decoded
        return DecodedFrame(array, interpretation, codecs.plugin_version())
