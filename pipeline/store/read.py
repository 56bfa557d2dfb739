"""Read images: their paths, their layouts, their pixels."""

from __future__ import annotations

import asyncio
import difflib
import json
from dataclasses import dataclass
from typing import Any

import zarr
from zarr.buffer import default_buffer_prototype
from zarr.storage import LocalStore, StorePath

from pipeline.errors import OutputError
from pipeline.storage import ZARR_JSON, OutputDir, is_inner
from pipeline.store.arrays import PIXELS
from pipeline.store.coroutines import run
from pipeline.store.regions import ImageStore, image_store
from pipeline.store.remote_store import RemoteStore

_AT_ONCE = 16
"""Metadata documents read in parallel."""


@dataclass(frozen=True, slots=True)
class ImageLayout:
    """The layout of an image's ``pixels``, from its metadata, and the group's attributes."""

    path: str
    shape: tuple[int, ...]
    dtype: str
    chunks: tuple[int, ...]
    shards: tuple[int, ...]
    attributes: dict[str, Any]


def list_images(out: OutputDir) -> list[str]:
    """Return the paths of all complete images, sorted. Reads only folders, with one listing per group.

    Raises
    ------
    OutputError
        If `out` holds no Zarr hierarchy.
    """
    store = _open_store(out)
    return sorted(run(_walk(store)))


def image_layouts(out: OutputDir, paths: list[str] | None = None) -> list[ImageLayout]:
    """Return the layout of each image (all complete ones by default), at the cost of one small file each.

    Raises
    ------
    OutputError
        If `out` holds no Zarr hierarchy, or one of `paths` isn't a complete image.
    """
    store = _open_store(out)
    wanted = list_images(out) if paths is None else paths
    return run(_layouts(store, wanted), threads=4)


def check_result(out: OutputDir) -> None:
    """Raise :class:`~pipeline.errors.OutputError` if `out` holds no Zarr hierarchy of a conversion."""
    _open_store(out)


def image_location(out: OutputDir, path: str) -> StorePath:
    """Return the location of an image's group, for zarr and xarray; not as a path, which zarr 3.4 takes for a URL."""
    return StorePath(_plain_store(out), path)


def open_plain_pixels(out: OutputDir, path: str) -> zarr.Array[Any]:
    """Open a complete image's ``pixels`` like any reader of Zarr: with zarr's own store, which follows links."""
    open_image(out, path)
    return zarr.open_array(_plain_store(out), path=f"{path}/{PIXELS}", mode="r", zarr_format=3)


def _plain_store(out: OutputDir) -> LocalStore | RemoteStore:
    """Return one of zarr's own stores, which follows links like any reader's."""
    store = image_store(out, read_only=True)
    return store if isinstance(store, RemoteStore) else LocalStore(store.root, read_only=True)


def is_image(out: OutputDir, path: str, *, aside: bool = False) -> bool:
    """Return whether there is a complete image with this path, in its place or `aside`."""
    root = out.images(aside=aside)
    return is_inner(path) and (root / path / ZARR_JSON).exists() and (root / path / PIXELS / ZARR_JSON).exists()


def open_image(out: OutputDir, path: str) -> zarr.Group:
    """Open a complete image's group, read-only.

    Raises
    ------
    OutputError
        If there is no such image; the message names similar paths.
    """
    store = _open_store(out)
    if not is_image(out, path):
        near = difflib.get_close_matches(path, list_images(out), n=3, cutoff=0.3)
        hint = f"; did you mean {' or '.join(map(repr, near))}?" if near else ""
        raise OutputError(f"there is no complete image {path!r} in {store.root}{hint}")
    return zarr.open_group(store, path=path, mode="r", zarr_format=3)


def open_pixels(out: OutputDir, path: str) -> zarr.Array[Any]:
    """Open a complete image's ``pixels``, read-only.

    Raises
    ------
    OutputError
        If there is no such image; the message names similar paths.
    """
    pixels = open_image(out, path)[PIXELS]
    if not isinstance(pixels, zarr.Array):
        raise OutputError(f"image {path!r}: {PIXELS} isn't an array")
    return pixels


def _open_store(out: OutputDir) -> ImageStore:
    if not out.image(ZARR_JSON).exists():
        raise OutputError(
            f"{out.name!r} isn't the result of a conversion: it has no {out.IMAGES}/{ZARR_JSON}. "
            "Give the output directory itself",
            reason="no_result",
        )
    return image_store(out, read_only=True)


async def _walk(store: ImageStore) -> list[str]:
    found, level = [], [""]
    while level:
        below = []
        for group in level:
            names = {name async for name in store.list_dir(group)}
            if group and {ZARR_JSON, PIXELS} <= names:
                found.append(group)
            elif PIXELS not in names:
                below += [f"{group}/{name}" if group else name for name in names if name != ZARR_JSON]
        level = below
    return found


async def _layouts(store: ImageStore, paths: list[str]) -> list[ImageLayout]:
    free = asyncio.Semaphore(_AT_ONCE)

    async def layout(path: str) -> ImageLayout:
        async with free:
            found = await store.get(f"{path}/{ZARR_JSON}", default_buffer_prototype())
        if found is None:
            raise OutputError(f"there is no complete image {path!r} in {store.root}")
        return _layout(path, json.loads(found.to_bytes()))

    return list(await asyncio.gather(*(layout(path) for path in paths)))


def _layout(path: str, group: dict[str, Any]) -> ImageLayout:
    try:
        pixels = group["consolidated_metadata"]["metadata"][PIXELS]
        outer = tuple(pixels["chunk_grid"]["configuration"]["chunk_shape"])
        first = pixels["codecs"][0]
        inner = first["configuration"]["chunk_shape"] if first["name"] == "sharding_indexed" else outer
        return ImageLayout(
            path=path,
            shape=tuple(pixels["shape"]),
            dtype=pixels["data_type"],
            chunks=tuple(inner),
            shards=outer,
            attributes=group["attributes"],
        )
    except (KeyError, TypeError, IndexError) as error:
        raise OutputError(f"the metadata of image {path!r} weren't written by this program: {error!r}") from error
