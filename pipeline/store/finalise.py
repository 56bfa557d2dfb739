"""Finish an image: write everything that makes it openable, in the order that makes it openable last."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import xxhash
from zarr.buffer import default_buffer_prototype
from zarr.buffer.cpu import Buffer

from pipeline.errors import OutputError
from pipeline.model import ImageSpec
from pipeline.storage import PAUSES, UNFINISHED, ZARR_JSON, OutputDir, as_place_error
from pipeline.store.arrays import (
    PIXELS,
    ArrayDocument,
    check_per_frame_values,
    per_frame_document,
    pixels_document,
)
from pipeline.store.coroutines import run
from pipeline.store.regions import ImageStore, WriteOnce, image_store, shard_name
from pipeline.store.remote_store import RemoteStore
from pipeline.store.strict_json import strict

COMPLETE = "complete"


@dataclass(frozen=True, slots=True)
class _Image:
    """Everything to write for one image, ready before the first byte is written."""

    path: str
    values: dict[str, npt.NDArray[Any]]
    documents: dict[str, ArrayDocument]
    group: bytes
    shards: tuple[str, ...]
    """Keys of the shards, below the store's root."""
    required: tuple[bool, ...]
    """Whether each shard must exist; it needn't if none of its frames is valid."""

    @property
    def chunked(self) -> dict[str, npt.NDArray[Any]]:
        """The per-frame arrays that have chunks."""
        return {name: values for name, values in self.values.items() if self.documents[name].has_chunks}

    @property
    def keys(self) -> dict[str, bytes]:
        """All metadata documents by key, in the order of writing: pixels after the other arrays, the group last."""
        arrays = [*self.values, PIXELS]
        texts = {f"{self.path}/{name}/{ZARR_JSON}": self.documents[name].text for name in arrays}
        return texts | {f"{self.path}/{ZARR_JSON}": self.group}


def create_root(out: OutputDir) -> None:
    """Make ``images.zarr`` an openable, empty hierarchy; an existing one stays as it is.

    Raises
    ------
    OutputError
        If it can't be written.
    """
    with as_output_error(f"{out.images()}", "can't be made"):
        run(_create_groups(image_store(out), [""]))


def create_groups_above(out: OutputDir, path: str) -> None:
    """Make the root and the groups above an image; existing groups stay as they are."""
    run(_create_groups(image_store(out), _groups_above(path)))


def finalise_image(
    out: OutputDir,
    spec: ImageSpec,
    *,
    codec: Mapping[str, Any],
    per_frame: Mapping[str, npt.ArrayLike],
    attributes: Mapping[str, Any],
) -> str:
    """Make an image whose shards are all written openable.

    Writes the per-frame arrays, the metadata of ``pixels``, the groups above, and last the image's own group with
    `attributes` and ``status: complete``, each file atomically. All other files in the group, such as a dead
    run's, are removed. Doing it again gives the same bytes.

    Parameters
    ----------
    out : OutputDir
        The output directory, the parent of ``images.zarr``.
    spec : ImageSpec
        The image's layout. Its placements aren't used.
    codec : mapping
        The ``output.codec`` that the shards were written with.
    per_frame : mapping
        Arrays over the grid, perhaps with one more axis: numbers, booleans or text. If ``valid`` is among
        them, a shard without any valid frame needn't exist.
    attributes : mapping
        The group's attributes, JSON-like values.

    Returns
    -------
    str
        A digest of all the image's files except the shards, see :func:`combine_digests`.

    Raises
    ------
    OutputError
        If a shard is missing, a per-frame array doesn't fit, an attribute isn't JSON, or the files can't be
        written.
    """
    image = _describe(spec, codec, per_frame, attributes)
    with as_output_error(f"{out.image(spec.path)}", "can't be completed"):
        return run(_finalise(image_store(out, aside=spec.aside), image))


def combine_digests(digests: Mapping[str, str]) -> str:
    """Return one digest, in hexadecimal digits, of files given as name → digest, whatever their order."""
    return xxhash.xxh3_128_hexdigest(json.dumps(sorted(digests.items())).encode())


def remove_image(out: OutputDir, path: str, *, aside: bool = False) -> None:
    """Remove everything of an image, in its place or `aside`, and the folders above it that are then empty.

    Raises
    ------
    OutputError
        If `path` isn't an image's path, or files can't be removed.
    """
    check_path(path)
    store = image_store(out, aside=aside)
    with as_output_error(f"{out.image(path, aside=aside)}", "can't be removed"):
        run(_remove(store, path))
    if isinstance(store, RemoteStore):
        return  # object stores have no folders
    above = path.split("/")[:-1]
    while above:
        with contextlib.suppress(OSError):  # not empty: other images, or another task's new folder
            (store.at / "/".join(above)).remove_empty()
        above.pop()


def withdraw_image(out: OutputDir, path: str, *, aside: bool = False) -> None:
    """Close an image to readers before some of its shards are written again; its pixels stay.

    Raises
    ------
    OutputError
        If the image can't be closed.
    """
    check_path(path)
    folder = out.image(path, aside=aside)
    with as_output_error(str(folder), "can't be withdrawn"):
        for document in (ZARR_JSON, f"{PIXELS}/{ZARR_JSON}"):
            (folder / document).remove()


def _describe(
    spec: ImageSpec, codec: Mapping[str, Any], per_frame: Mapping[str, npt.ArrayLike], attributes: Mapping[str, Any]
) -> _Image:
    check_path(spec.path)
    values = {name: check_per_frame_values(name, array, spec.sizes) for name, array in per_frame.items()}
    if PIXELS in values or any("/" in name or name.startswith("__") for name in values):
        raise OutputError(f"image {spec.path!r}: per-frame arrays can't have the names {sorted(values)}")
    documents = {name: per_frame_document(name, array, spec.axes.grid) for name, array in values.items()}
    documents[PIXELS] = pixels_document(spec, codec, coordinates=values)
    valid = np.asarray(values.get("valid", np.ones(spec.sizes, bool)))
    grid = spec.grid
    return _Image(
        path=spec.path,
        values=values,
        documents=documents,
        group=_group_text(strict(attributes) | {"status": COMPLETE}, documents),
        shards=tuple(f"{spec.path}/{shard_name(spec, shard)}" for shard in range(grid.shards)),
        required=tuple(bool(valid[grid.shard_slices(shard)].any()) for shard in range(grid.shards)),
    )


def plain_group() -> bytes:
    """Return the ``zarr.json`` of a group that holds only other groups."""
    return _group_text({})


def _group_text(attributes: Mapping[str, Any], documents: Mapping[str, ArrayDocument] | None = None) -> bytes:
    """Return a group's ``zarr.json`` with its arrays' metadata consolidated, so that a reader opens the image with one file."""
    group: dict[str, Any] = {"zarr_format": 3, "node_type": "group", "attributes": dict(attributes)}
    if documents is not None:
        metadata = {name: documents[name].json for name in sorted(documents)}
        group["consolidated_metadata"] = {"kind": "inline", "must_understand": False, "metadata": metadata}
    return json.dumps(group, indent=2, allow_nan=False).encode()


async def _finalise(store: ImageStore, image: _Image) -> str:
    present = {key async for key in store.list_prefix(f"{image.path}/")}
    unlisted = [key for key, needed in zip(image.shards, image.required, strict=True) if needed and key not in present]
    # A listing cached on this host may lack what another host has just written.
    missing = [key for key in unlisted if not await _appears(store, key)]
    if missing:
        raise OutputError(
            f"image {image.path!r} lacks {len(missing)} of {len(image.shards)} shards, first {missing[0]}: "
            "it can't be completed",
            source=missing[0],
        )
    written = WriteOnce(store)
    await _remove_strangers(store, image, present)
    for name, values in image.chunked.items():
        array = image.documents[name].bind(written, f"{image.path}/{name}")
        step = array.chunks[0]
        for start in range(0, len(values), step):  # in steps, because zarr converts all texts at once
            part = slice(start, start + step)
            await array.setitem((part, ...), values[part])
    await _create_groups(store, _groups_above(image.path))
    for key, text in image.keys.items():
        await written.set(key, Buffer.from_bytes(text))
    return combine_digests({key.removeprefix(f"{image.path}/"): digest for key, digest in written.digests.items()})


async def _appears(store: ImageStore, key: str) -> bool:
    for pause in (*PAUSES, 0.0):
        if await store.exists(key):
            return True
        await asyncio.sleep(pause)
    return False


async def _remove_strangers(store: ImageStore, image: _Image, present: set[str]) -> None:
    """Remove a dead run's files, and first of all an older version's group, because its arrays are about to change."""
    group = f"{image.path}/{ZARR_JSON}"
    if group in present and await _read(store, group) != image.group:
        await store.delete(group)
    own = tuple(f"{image.path}/{name}/c/" for name in image.chunked)
    for key in present - set(image.shards) - set(image.keys):
        if not key.startswith(own) or key.endswith(UNFINISHED):
            await store.delete(key)


def _groups_above(path: str) -> list[str]:
    """Return the paths of the groups that an image lies in, the root first."""
    names = path.split("/")[:-1]
    return ["/".join(names[:depth]) for depth in range(len(names) + 1)]


async def _create_groups(store: ImageStore, paths: list[str]) -> None:
    """Create the missing groups. Processes that do so at the same time write the same bytes, and none overwrites attributes."""
    for path in paths:
        key = f"{path}/{ZARR_JSON}" if path else ZARR_JSON
        if await _read(store, key) is None:
            await WriteOnce(store).set(key, Buffer.from_bytes(plain_group()))


async def _remove(store: ImageStore, path: str) -> None:
    await store.delete(f"{path}/{ZARR_JSON}")
    await store.delete_dir(path)


async def _read(store: ImageStore, key: str) -> bytes | None:
    found = await store.get(key, default_buffer_prototype())
    return None if found is None else found.to_bytes()


def check_path(path: str) -> None:
    """Refuse a path that isn't a Zarr node below the root (Zarr v3 core, node names), so none leads out of the store."""
    names = path.split("/")
    if any(not name.strip(".") or name.startswith("__") or "\\" in name or name == ZARR_JSON for name in names):
        raise OutputError(f"{path!r} can't be an image's path: names between slashes, none of them dots alone")


@contextlib.contextmanager
def as_output_error(what: str, message: str) -> Iterator[None]:
    """Turn an error of the system or the store into an OutputError: "`what` `message`", for example "x can't be read"."""
    try:
        yield
    except OSError as error:
        raise as_place_error(what, error, message) from error
