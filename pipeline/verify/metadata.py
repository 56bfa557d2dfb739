"""Compare one image's metadata and per-frame arrays with plan, ledger and headers. Runs in a worker."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import xxhash

from pipeline.errors import foreign_text
from pipeline.model import ImageSpec
from pipeline.storage import ZARR_JSON, OutputDir
from pipeline.store import (
    StoredImage,
    chunk_names,
    combine_digests,
    has_one_value,
    read_stored,
    shard_name,
    strict,
)
from pipeline.tasks import FinaliseInput, describe
from pipeline.verify.problems import Problem

PIXELS = "pixels"
_OWN_ATTRIBUTES = frozenset({"status", "provenance"})


@dataclass(frozen=True, slots=True)
class ImageCheck:
    """A complete image, without its pixels."""

    finalising: FinaliseInput
    digest: str
    """Digest of all its files except the shards; empty if the ledger has none."""

    @property
    def image(self) -> int:
        """The image's position in the plan."""
        return self.finalising.image

    @property
    def where(self) -> str:
        """Path of the image, for messages."""
        return f"{OutputDir.IMAGES}/{self.finalising.spec.path}"


def check_image(check: ImageCheck) -> Iterator[Problem]:
    """Yield the problems of an image's files, attributes and per-frame arrays."""
    image, spec = check.finalising.image, check.finalising.spec
    stored = read_stored(check.finalising.out, spec.path)
    per_frame, attributes = describe(check.finalising)
    place = f"{OutputDir.IMAGES}/{spec.path}"

    def found(code: str, name: str, message: str) -> Problem:
        return Problem(code, f"{place}/{name}" if name else place, message, image)

    digests = {name: xxhash.xxh3_128_hexdigest(data) for name, data in stored.files.items()}
    if check.digest and combine_digests(digests) != check.digest:
        yield found("changed_file", "", "the image's metadata or per-frame arrays aren't as written")
    yield from (found(*each) for each in _names(stored, per_frame, check.finalising))
    for name, expected in (("", attributes), *per_frame.items(), (PIXELS, None)):
        try:
            wrong = _find_differences(stored, name, expected, spec)
        # zarr and its codecs raise anything on damaged metadata and chunks, and such damage is a finding.
        except Exception as error:  # noqa: BLE001
            yield found("metadata_unreadable", name, f"can't be read: {foreign_text(error)}")
        else:
            yield from (found("metadata_differ", name, message) for message in wrong)


def _names(
    stored: StoredImage, per_frame: dict[str, npt.NDArray[Any]], image: FinaliseInput
) -> Iterator[tuple[str, str, str]]:
    """Yield code, name and message for missing files, and for files that don't belong to the image."""
    wanted = {ZARR_JSON, f"{PIXELS}/{ZARR_JSON}"}
    for name, values in per_frame.items():
        if has_one_value(values):
            wanted.add(f"{name}/{ZARR_JSON}")
            continue
        chunk = [max(1, min(each)) for each in zip(values.shape, _chunk(stored, name, values.shape), strict=False)]
        wanted |= chunk_names(name, {"shape": values.shape, "chunk_grid": {"configuration": {"chunk_shape": chunk}}})
    spec, valid, grid = image.spec, image.valid, image.spec.grid
    shards = ((number, grid.shard_positions(number)) for number in range(grid.shards))
    required = {shard_name(spec, number) for number, at in shards if valid[at.start : at.stop].any()}
    for name in sorted((wanted - set(stored.files)) | (required - stored.shards)):
        yield "missing_file", name, "is missing"
    for name in sorted((set(stored.files) - wanted) | (stored.shards - required)):
        yield "extra_file", name, "doesn't belong to the result"


def _chunk(stored: StoredImage, name: str, shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return the chunk shape of a per-frame array from its own metadata; `shape` if these can't be read."""
    try:
        sizes = tuple(map(int, stored.document(name)["chunk_grid"]["configuration"]["chunk_shape"]))
    except (KeyError, ValueError, TypeError):
        return shape
    return sizes if len(sizes) == len(shape) else shape


def _find_differences(stored: StoredImage, name: str, expected: Any, spec: ImageSpec) -> list[str]:
    """Return messages about one array, or about the group, whose name is empty."""
    if not name:
        return list(_group(stored, expected))
    if name == PIXELS:
        return list(_pixels(stored.document(PIXELS), spec))
    return list(_values(stored.array(name), expected))


def _group(stored: StoredImage, attributes: dict[str, Any]) -> Iterator[str]:
    group = stored.document()
    found = dict(group["attributes"])
    if found.get("status") != "complete":
        yield f"status is {found.get('status')!r} instead of 'complete'"
    wanted = strict(attributes)
    for keyword in sorted((wanted.keys() | found.keys()) - _OWN_ATTRIBUTES):
        if keyword not in wanted or keyword not in found or found[keyword] != wanted[keyword]:
            # Values of attributes may identify a patient, so messages don't contain them.
            yield f"the attribute {keyword} differs from plan, ledger and headers"
    repeated = group.get("consolidated_metadata", {}).get("metadata", {})
    names = stored.array_names() | {PIXELS}
    for array in sorted(names | repeated.keys()):
        if array not in names or repeated.get(array) != stored.document(array):
            yield f"the metadata of {array} differ from those in the group"


def _pixels(document: dict[str, Any], spec: ImageSpec) -> Iterator[str]:
    first = document["codecs"][0]
    outer = tuple(document["chunk_grid"]["configuration"]["chunk_shape"])
    inner = tuple(first["configuration"]["chunk_shape"]) if first["name"] == "sharding_indexed" else outer
    told = {
        "shape": (tuple(document["shape"]), spec.shape),
        "data_type": (document["data_type"], spec.format.dtype),
        "shards": (outer, spec.shards),
        "chunks": (inner, spec.chunks),
    }
    for word, (found, wanted) in told.items():
        if found != wanted:
            yield f"its {word} are {found}, the plan says {wanted}"


def _values(found: npt.NDArray[Any], wanted: npt.NDArray[Any]) -> Iterator[str]:
    if found.shape != wanted.shape:
        yield f"its shape is {found.shape}, expected {wanted.shape}"
        return
    same = found == wanted
    if wanted.dtype.kind == "f":
        same |= np.isnan(found) & np.isnan(wanted)
    if not same.all():
        frames = np.nonzero(~same.reshape(len(same), -1).all(axis=1))[0]
        yield f"{len(frames)} frame(s) have other values than plan, ledger and headers, first frame {frames[0]}"
