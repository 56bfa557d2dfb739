"""Sparse DICOM files of 1 GiB: quick to make, with nothing on disk but headers and one frame."""

from __future__ import annotations

import struct

import numpy as np

from support.dicom_bytes import DELIMITER, attributes, element, header, item, meta, rle_frame

GIB = 1 << 30
MIB = 1 << 20


def planes(count, rows=64, columns=64, seed=0):
    return np.random.default_rng(seed).integers(0, 255, (count, rows, columns), np.uint8)


def native_gibibyte(path, rows=512, columns=512):
    """A sparse file of 1 GiB of native frames, of which one isn't zero, and an element behind them."""
    frames = GIB // (rows * columns)
    head = meta("1.2.840.10008.1.2.1") + header(attributes(rows=rows, columns=columns, frames=frames))
    head += struct.pack("<HH2sHL", 0x7FE0, 0x0010, b"OB", 0, GIB)
    frame = np.random.default_rng(0).integers(0, 255, (rows, columns), np.uint8)
    with path.open("wb") as file:
        file.write(head)
        file.seek(len(head) + 2222 * rows * columns)
        file.write(frame.tobytes())
        file.seek(len(head) + GIB)
        file.write(element(0xFFFCFFFC, "OB", b"\0" * 10))
    return 2222, frame


def encapsulated_gibibyte(path, *, table):
    """A sparse file of 257 fragments of 4 MiB, of which one is small and holds an RLE frame."""
    number, frame = 177, planes(1)[0]
    packed = rle_frame(frame)
    lengths = [4 * MIB] * 257
    lengths[number] = len(packed)
    starts = np.cumsum([0, *(length + 8 for length in lengths)])
    head = meta("1.2.840.10008.1.2.5") + header(attributes(rows=64, columns=64, frames=257))
    head += struct.pack("<HH2sHL", 0x7FE0, 0x0010, b"OB", 0, 0xFFFFFFFF)
    head += item(starts[:-1].astype("<u4").tobytes() if table else b"")
    with path.open("wb") as file:
        file.write(head)
        for start, length in zip(starts, lengths, strict=False):
            file.seek(len(head) + start)
            file.write(struct.pack("<HHL", 0xFFFE, 0xE000, length))
            if length == len(packed):
                file.write(packed)
        file.seek(len(head) + starts[-1])
        file.write(DELIMITER)
    return number, frame
