"""Second decoding of an instance by another plugin, to verify the first."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
from pydicom.pixels.utils import iter_pixels

from pipeline.codecs import SampleBits
from pipeline.deid import IDENTITY, Gate
from pipeline.frames.byte_sources import open_source
from pipeline.frames.header_reader import read_header
from pipeline.frames.index import index_frames
from pipeline.frames.limits import HeaderLimits
from pipeline.frames.native import swaps_bits, uneven_columns
from pipeline.frames.plugins import decoder_for
from pipeline.frames.reader import FrameReader
from pipeline.model import FrameIndex, syntaxes

PYDICOM = "pydicom"
"""Decoder of native data for the comparison: pydicom's own path, from the file's header to the array."""
_EIGHT_BITS = 8
_WITHIN_8_BITS, _WITHIN_MORE, _WITHIN_JPEG_2000 = 2, 4, 1
_READ_HERE = ("photometric_interpretation", "planar_configuration")
"""Attributes of a native file that replace pydicom's reading: it doesn't strip blanks and doesn't correct contradictions."""


class SecondReader:
    """Decodes an instance's frames by the same plugin as the first time, and by other ones.

    Header and frame index are read again from the current file, without any earlier results.

    Parameters
    ----------
    file : BinaryIO
        Seekable; stays open.
    source : str
        The file's name for errors.
    used : str
        Decoder of the first time, from the catalog's column `decoder`.
    raw, options, limits, gate
        As in the first decoding.
    """

    def __init__(
        self,
        file: BinaryIO,
        source: str,
        used: str,
        *,
        raw: bool,
        options: Mapping[str, Any],
        limits: HeaderLimits | None = None,
        gate: Gate = IDENTITY,
    ) -> None:
        self._file, self._source, self._raw, self._options = file, source, raw, options
        self.header = read_header(file, source=source, limits=limits, gate=gate)
        self.index: FrameIndex = index_frames(file, self.header)
        first = [label.split(" ")[0] for label in used.split("+") if label]
        available = () if not self.index.encapsulated else decoder_for(self.index.transfer_syntax_uid).available_plugins
        others = sorted(name for name in available if name not in first)
        native_others = () if _pydicom_departs(self.index) else (PYDICOM,)
        self.others = tuple(others) if self.index.encapsulated else native_others
        """Decoders that weren't used the first time."""
        self._first = tuple(first) or ("",)
        self._readers: dict[str, FrameReader] = {}

    @property
    def tolerance(self) -> int:
        """Grey levels by which two correct decoders may differ: 0 for lossless data (PS3.5 8.2.1, ITU-T T.83, T.803)."""
        if self.index.transfer_syntax_uid in syntaxes.LOSSY_JPEG_2000:
            return _WITHIN_JPEG_2000
        if self.index.transfer_syntax_uid not in syntaxes.LOSSY_JPEG:
            return 0
        return _WITHIN_8_BITS if int(self.index.options["bits_stored"]) <= _EIGHT_BITS else _WITHIN_MORE

    def again(self, frame: int, dtype: npt.DTypeLike) -> npt.NDArray[Any]:
        """Decode a frame with the plugins of the first time, tried in turn.

        Raises
        ------
        PipelineError, ValueError, RuntimeError
            See :class:`FrameReader`.
        """
        *early, last = self._first
        for plugin in early:
            try:
                return self._reader(plugin).read_as(frame, dtype).array
            except RuntimeError:
                continue
        return self._reader(last).read_as(frame, dtype).array

    def otherwise(self, frames: Sequence[int], dtype: npt.DTypeLike, by: str) -> Iterator[npt.NDArray[Any]]:
        """Yield decoded frames by one of :attr:`others`; any of its exceptions may be raised."""
        if self.index.encapsulated:
            self._reader(by).expect(frames)
            for frame in frames:
                yield self._reader(by).read_as(frame, dtype).array
            return
        options = {name: self.index.options[name] for name in _READ_HERE if name in self.index.options} | dict(
            self._options
        )
        bits = _moved_bits(self.index)
        options |= {"correct_unused_bits": False} if bits else {}
        with open_source(self._source) as file:
            for array in iter_pixels(file, indices=list(frames), raw=self._raw, **options):
                yield (bits.correct(array) if bits else array).astype(np.dtype(dtype), copy=False)

    def _reader(self, plugin: str) -> FrameReader:
        if plugin not in self._readers:
            self._readers[plugin] = FrameReader(
                self._file,
                self.index,
                raw=self._raw,
                decoding_plugin=plugin,
                options=self._options,
                source=self._source,
            )
        return self._readers[plugin]


def _pydicom_departs(index: FrameIndex) -> bool:
    """Return whether pydicom decodes a native file contrary to the standard (see ``DIFFERENCES.md``)."""
    moved_colours = "high_bit" in index.options and index.options["samples_per_pixel"] != 1
    return moved_colours or swaps_bits(index) or uneven_columns(index)


def _moved_bits(index: FrameIndex) -> SampleBits | None:
    """Return the bits of samples above the lowest bits of their words, which pydicom ignores; None for other samples."""
    if "high_bit" not in index.options:
        return None
    names = ("bits_allocated", "bits_stored", "pixel_representation", "high_bit")
    return SampleBits.of(*(int(index.options[name]) for name in names))
