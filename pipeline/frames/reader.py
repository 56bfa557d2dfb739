"""Decoding single frames, in any order, each on its own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from struct import pack
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
from pydicom.pixels.decoders.base import Decoder

from pipeline import codecs
from pipeline.errors import ConfigError, DecodeError, PipelineError, PixelDataError
from pipeline.frames import native
from pipeline.frames.header import open_data_set
from pipeline.frames.index import available_frames, missing_frames
from pipeline.frames.items import ITEM
from pipeline.frames.plain import plain_frames
from pipeline.frames.plugins import decoder_for, plugin_label, plugin_order, quiet_tries
from pipeline.frames.sources import read_bytes
from pipeline.model import FrameIndex

Array = npt.NDArray[Any]

_NO_OPTIONS: Mapping[str, Any] = {}
_LONGEST_ITEM = 0xFFFFFFFE
_SIGNS_OF_SIZE = ("reshape", "broadcast", "multiple of element size")
"""How NumPy puts it that a decoded frame has another number of pixels than rows, columns and samples make."""
_RUST_PANIC = "PanicException"
"""What a plugin written in Rust raises where it finds its own assumptions wrong; no Exception, so nobody catches it."""
_ALL_FAILED = "Unable to decode as exceptions were raised by all available plugins:\n  "


@dataclass(frozen=True, slots=True, eq=False)
class DecodedFrame:
    """One frame, and what it is."""

    array: Array
    """``(rows, columns)`` or ``(rows, columns, samples)``, in the data's byte order."""
    photometric_interpretation: str
    """Of `array`: YBR_FULL becomes RGB unless raw frames were asked for."""
    decoder: str
    """Plugin and version, ``imagecodecs 2026.3.6``; empty for native data."""


class FrameReader:
    """Decodes any frame of one instance through its frame index, one at a time.

    Each frame costs what it costs alone, wherever it lies, and never depends on which were decoded before. Memory:
    one frame and its encoded bytes.

    Parameters
    ----------
    file : BinaryIO
        The file the index was built from, seekable; its position moves. It stays open.
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
        Give each frame the type that Bits Allocated declares, as ``iter_pixels(indices=…)`` does, instead of the
        smallest that its codestream's precision needs.

    Raises
    ------
    UnsupportedTransferSyntaxError
        No decoder for the transfer syntax.
    ValueError, RuntimeError
        `decoding_plugin` is unknown, or lacks dependencies; contradicting options.
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
        self._options = {**index.options, **options, "number_of_frames": 1, "raw": raw, "validate": False}
        self._options.pop("extended_offsets", None)
        self._options[codecs.RGB_OPTION] = bool(options.get(codecs.RGB_OPTION, True)) and not raw
        ours_first = self._plugins[:1] == (codecs.PLUGIN,)
        self._direct = codecs.direct_decoder(index.transfer_syntax_uid, self._options) if ours_first else None
        self._plain = None if self._swap or index.encapsulated else plain_frames(index, self._options)
        if self._swap:
            self._options |= {"pixel_vr": "OB", "be_swap_ow": False}

    def expect(self, frames: Iterable[int]) -> None:
        """Announce the frames that will be read next, in this order, so that a remote file fetches them ahead."""
        expect = getattr(self._file, "expect", None)
        if expect is not None:
            there = (frame for frame in frames if isinstance(frame, int) and 0 <= frame < self._available)
            expect((offset, offset + length) for frame in there for offset, length in self.index.ranges(frame))

    def read(self, frame: int) -> DecodedFrame:
        """Decode one frame.

        Parameters
        ----------
        frame : int
            Frame index, from 0.

        Raises
        ------
        FrameIndexError
            No such frame.
        PixelDataError
            Its bytes are missing, or decode to another number of pixels than the attributes declare (reason
            ``frame_mismatch``).
        DecodeError
            No plugin could decode it.
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
        """Decode one frame and give it the type `dtype`, which must hold each of its values.

        Raises
        ------
        DecodeError
            With the reason ``frame_mismatch`` where it doesn't, or where the shape isn't the declared one.
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
        """Decode one frame into `out`, what :meth:`read_as` gives as the type of `out`.

        Parameters
        ----------
        frame : int
            Frame index, from 0.
        out : numpy.ndarray
            Writeable, of the frame's shape, for instance one frame of a shard. Where decoding fails it is filled with
            zeros.

        Returns
        -------
        DecodedFrame
            Its ``array`` is `out`.

        Raises
        ------
        DecodeError
            As :meth:`read_as`; also with the reason ``frame_mismatch`` where the frame's shape isn't that of `out`.
        """
        try:
            if (
                self._plain is not None
                and 0 <= frame < self._available
                and self._plain.read_into(self._file, frame, out)
            ):
                return DecodedFrame(out, self._plain.photometric_interpretation, "")
            if self._direct is not None and self._direct.fills(out) and 0 <= frame < self._available:
                decoded = self._directly(self._encoded(frame), out)
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
        return self._decode(data.data, "", as_stored=True)

    def _encapsulated(self, frame: int) -> DecodedFrame:
        codestream = self._encoded(frame)
        out = self._direct.empty() if self._direct is not None and self._as_stored else None
        if (decoded := self._directly(codestream, out)) is not None:
            return decoded
        if codecs.stalls_pydicom(codestream):
            raise DecodeError("The JP2 file in the pixel data has a box of length 0 before its codestream")
        encoded = _one_item(codestream)
        failures: list[str] = []
        mismatch: PixelDataError | None = None
        with quiet_tries() as raised:
            for plugin in self._plugins:
                try:
                    return self._decode(encoded, plugin, as_stored=self._as_stored)
                except RuntimeError as error:
                    if isinstance(error, DecodeError) and error.reason != DecodeError.reason:
                        raise
                    failures.append(str(error).removeprefix(_ALL_FAILED))
                except PixelDataError as error:
                    failures.append(f"{plugin}: {error}")
                    mismatch = error
        if mismatch is not None and len(failures) == 1:
            raise mismatch
        reason = "memory" if any(isinstance(error, MemoryError) for error in raised) else None
        raise DecodeError(_ALL_FAILED + "\n  ".join(failures), reason=reason, source=self._source, frame=frame)

    def _encoded(self, frame: int) -> bytes:
        """Return the frame's codestream: its fragments joined."""
        pieces = [read_bytes(self._file, offset, length) for offset, length in self.index.ranges(frame)]
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _directly(self, codestream: bytes, out: Array | None) -> DecodedFrame | None:
        """Decode without pydicom's runner where that gives the same, None where pydicom must do it."""
        try:
            decoded = self._direct.decode(codestream, out) if self._direct is not None else None
        except Exception:  # noqa: BLE001  codecs are foreign code; pydicom's way tries again, then names what is wrong
            return None
        if decoded is None:
            return None
        array, interpretation = decoded
        return DecodedFrame(array, interpretation, codecs.plugin_version())

    def _decode(self, data: bytes | memoryview, plugin: str, *, as_stored: bool) -> DecodedFrame:
        try:
            array, properties = self._run(data, plugin, as_stored=as_stored)
        except RuntimeError:
            raise
        except ValueError as error:
            if as_stored or "read-only" not in str(error):
                raise self._mismatch(error) from error
            # pydicom corrects signs in place and forgets that some plugins return immutable bytes; with an index it
            # copies the frame first.
            return self._decode(data, plugin, as_stored=True)
        except MemoryError as error:
            raise DecodeError(f"Not enough memory for one frame: {error}", reason="memory") from error
        except Exception as error:
            # pydicom looks into codestreams outside of its plugins' reach, where damage may raise anything.
            raise DecodeError(f"{plugin}: {type(error).__name__}: {error}") from error
        except BaseException as error:
            if type(error).__name__ != _RUST_PANIC:
                raise
            raise DecodeError(f"{plugin}: {error}") from error
        label = plugin_label(plugin, self.index.transfer_syntax_uid) if plugin else ""
        return DecodedFrame(array, str(properties["photometric_interpretation"]), label)

    def _run(self, data: bytes | memoryview, plugin: str, *, as_stored: bool) -> tuple[Array, dict[str, str | int]]:
        """Decode with a runner of its own: pydicom's carries what one frame changed into the next."""
        indices = [0] if as_stored else None
        return next(self._decoder.iter_array(data, indices=indices, decoding_plugin=plugin, **self._options))

    def _mismatch(self, error: ValueError) -> PixelDataError:
        if not any(sign in str(error) for sign in _SIGNS_OF_SIZE):
            return PixelDataError(f"The decoded frame can't be processed: {error}")
        return PixelDataError(
            f"The decoded frame isn't what the attributes declare ({self.index.options['rows']} rows, "
            f"{self.index.options['columns']} columns, {self.index.options['samples_per_pixel']} sample(s)): {error}",
            reason="frame_mismatch",
        )


def _one_item(codestream: bytes) -> bytes:
    """Return the codestream as one item behind an empty offset table: a pixel data value of its own."""
    if len(codestream) > _LONGEST_ITEM:
        raise PixelDataError(f"The frame's {len(codestream)} encoded bytes are more than an item can hold")
    group, element = ITEM >> 16, ITEM & 0xFFFF
    return pack("<HHLHHL", group, element, 0, group, element, len(codestream)) + codestream
