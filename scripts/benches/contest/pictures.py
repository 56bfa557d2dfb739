"""Pictures with realistic noise, the same for the same seed: slices of a body, and tiles of a stained section."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

SLICE = (512, 512)
TILE = (256, 256, 3)

_AIR, _BODY, _FAT, _BONE = 30, 1060, 930, 1900
"""Stored values: Hounsfield units plus 1024."""
_NOISE = 16.0
"""Standard deviation of a thin slice's noise in Hounsfield units; reconstruction correlates neighbours."""


def slices(count: int, seed: int = 1) -> list[npt.NDArray[np.uint16]]:
    """Return `count` slices of ``SLICE`` with 12-bit values."""
    random = np.random.default_rng(seed)
    return [_slice(random) for _ in range(count)]


def tiles(count: int, seed: int = 2) -> list[npt.NDArray[np.uint8]]:
    """Return `count` RGB tiles of ``TILE`` that look like haematoxylin and eosin in a scanner."""
    random = np.random.default_rng(seed)
    return [_tile(random) for _ in range(count)]


def _slice(random: np.random.Generator) -> npt.NDArray[np.uint16]:
    y, x = np.mgrid[-1 : 1 : SLICE[0] * 1j, -1 : 1 : SLICE[1] * 1j]
    values = np.full(SLICE, float(_AIR))
    values[(x / 0.85) ** 2 + (y / 0.65) ** 2 < 1] = _FAT
    values[(x / 0.78) ** 2 + (y / 0.58) ** 2 < 1] = _BODY
    for _ in range(30):
        across, down = random.uniform(0.03, 0.2, 2)
        left, top = random.uniform(-0.5, 0.5, 2)
        organ = ((x - left) / across) ** 2 + ((y - top) / down) ** 2 < 1
        values[organ] = _BONE if random.random() < 0.15 else _BODY + random.normal(0, 40)  # noqa: PLR2004  a share
    noise = _smooth(random.normal(0, 1, SLICE))
    values += noise * _NOISE / noise.std() * np.where(values > _FAT / 2, 1.0, 0.4)
    return np.clip(np.rint(values), 0, 4095).astype(np.uint16)


def _tile(random: np.random.Generator) -> npt.NDArray[np.uint8]:
    rows, columns = TILE[:2]
    y, x = np.mgrid[:rows, :columns]
    stain = _field(random, 8)[..., None]
    values = np.array([236.0, 190, 215]) - np.clip(stain, 0, 2) * np.array([12.0, 40, 20])
    for _ in range(40):
        radius, left, top = random.uniform(4, 9), *random.uniform(0, columns, 2)
        nucleus = np.clip(1.5 - np.hypot(x - left, y - top) / radius, 0, 1)[..., None]
        values -= nucleus * np.array([120.0, 110, 50])
    values += _field(random, 64)[..., None] * 5 + random.normal(0, 4, TILE)
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


def _smooth(noise: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Average each pixel with its four neighbours."""
    return 2 * noise + sum(np.roll(noise, step, axis) for axis in (0, 1) for step in (-1, 1))


def _field(random: np.random.Generator, cells: int) -> npt.NDArray[np.float64]:
    """Return a smooth random field of standard deviation 1, varying over a `cells`-th of the tile."""
    coarse = random.normal(0, 1, (cells, cells))
    factor = TILE[0] // cells
    field = np.kron(coarse, np.ones((factor, factor)))
    for _ in range(2):
        field = _box(_box(field, factor, 0), factor, 1)
    return field / field.std()


def _box(values: npt.NDArray[np.float64], width: int, axis: int) -> npt.NDArray[np.float64]:
    """Average over `width` neighbours along `axis`, around the edges."""
    spectrum = np.fft.rfft(values, axis=axis)
    kernel = np.zeros(values.shape[axis])
    kernel[:width] = 1 / width
    shape = [1, 1]
    shape[axis] = -1
    return np.fft.irfft(spectrum * np.fft.rfft(kernel).reshape(shape), values.shape[axis], axis=axis)
