"""A mapping of image path to Dataset; any unique part of a path is a key."""

from __future__ import annotations

import difflib
import re
from abc import abstractmethod
from collections.abc import Iterator, Mapping
from functools import cached_property

import xarray as xr

from pipeline.access.table import ImageRow, ImageTable
from pipeline.units import ELLIPSIS

_NEAR = 5


class Images(Mapping[str, xr.Dataset]):
    """Images by path. Any unique part of a path is a key, and so is a path as the table shortens it.

    >>> images = dcm2zarr.open("out")
    >>> images.images                                   # a table
    >>> images["1.2.840.113619"]                        # the only image whose path has a name with this beginning
    >>> images["…0113009/…9059300000/stack-1"]          # the short path in the table
    """

    @cached_property
    def paths(self) -> list[str]:
        """All paths, sorted."""
        return sorted(self._list())

    @cached_property
    def images(self) -> ImageTable:
        """A table of all images: path, shape, dtype, chunks, shards, modality, series description, status."""
        return ImageTable(self._rows())

    @abstractmethod
    def _list(self) -> list[str]:
        """Find the paths of all images."""

    @abstractmethod
    def _exists(self, path: str) -> bool:
        """Tell whether an image with exactly this path exists, without listing all others."""

    @abstractmethod
    def _rows(self) -> list[ImageRow]:
        """Describe every image, in the order of `paths`."""

    @abstractmethod
    def _open(self, path: str) -> xr.Dataset:
        """Open the image with exactly this path."""

    def find(self, key: str) -> str:
        """Return the path of the only image that matches `key`.

        Whole names are tried before beginnings of names, and these before other parts of a path.

        Raises
        ------
        KeyError
            If no image or several match, with the names of similar or matching images.
        """
        wanted = key.strip("/")
        if wanted and self._exists(wanted):
            return wanted
        whole, beginning, anywhere = _patterns(wanted)
        found: list[str] = []
        for pattern in (whole, beginning, anywhere):
            found = [path for path in self.paths if wanted and pattern.search(path)]
            if len(found) == 1:
                return found[0]
            if found:
                break
        raise KeyError(self._unknown(key, found))

    def __getitem__(self, key: str) -> xr.Dataset:
        return self._open(self.find(key))

    def __contains__(self, key: object) -> bool:
        return isinstance(key, str) and self._exists(key)

    def __iter__(self) -> Iterator[str]:
        return iter(self.paths)

    def __len__(self) -> int:
        return len(self.paths)

    def __repr__(self) -> str:
        return f"{type(self).__name__} of {len(self)} image(s)\n{self.images!r}"

    def _repr_html_(self) -> str:
        return self.images._repr_html_()

    def _unknown(self, key: str, several: list[str]) -> str:
        if several:
            more = f" and {len(several) - _NEAR} more" if len(several) > _NEAR else ""
            return f"{key!r} fits {len(several)} images: {', '.join(several[:_NEAR])}{more}"
        near = difflib.get_close_matches(key, self.paths, n=_NEAR, cutoff=0)
        return f"No image {key!r}; near it are {', '.join(near)}" if near else f"No image {key!r}: there are none"


def _patterns(key: str) -> tuple[re.Pattern[str], re.Pattern[str], re.Pattern[str]]:
    """Return patterns that find `key` as whole names of a path, as the beginning of names, and anywhere."""
    text = "[^/]*".join(re.escape(piece) for piece in key.split(ELLIPSIS))
    return re.compile(f"(^|/){text}(/|$)"), re.compile(f"(^|/){text}"), re.compile(text)
