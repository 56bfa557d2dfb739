"""Images made aside while others stand at their paths, and how they replace these.

::

    images.zarr/<path>                 the standing image
    plan/aside/images.zarr/<path>      the new image, complete; after the exchange the old one, until it is removed
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import cast
from uuid import uuid4

from pipeline.storage import ZARR_JSON, LocalPlace, OutputDir, Place, RemotePlace
from pipeline.store.arrays import PIXELS
from pipeline.store.finalise import as_output_error, check_path, create_groups_above, plain_group, remove_image

_AT_A_TIME = 16
"""Objects copied in parallel."""


def take_place(out: OutputDir, path: str) -> None:
    """Put the complete image that was made aside in the place of the image that stands at its path.

    On a file system the two exchange their names at once or, if the system can't do that, one after the other; the earlier image
    is kept aside. In an object store the server makes copies: the image can't be opened meanwhile, and its attributes come last.
    An interrupted replacement can be repeated as long as the new image exists.

    Raises
    ------
    OutputError
        If the replacement fails; the new image is still whole then.
    """
    check_path(path)
    new, standing = out.image(path, aside=True), out.image(path)
    with as_output_error(str(standing), "can't be replaced by the image that is complete"):
        create_groups_above(out, path)
        if isinstance(new, RemotePlace) and isinstance(standing, RemotePlace):
            _copy(new, standing)
        elif isinstance(new, LocalPlace) and isinstance(standing, LocalPlace):
            _rename(new, standing, cast(LocalPlace, out.replaced / path))


def _rename(new: LocalPlace, standing: LocalPlace, replaced: LocalPlace) -> None:
    name = new.path.name
    with new.folder() as aside_of, standing.folder(make=True) as shown:
        if aside_of.exchange(name, shown, name):
            return
        if name in shown.names():
            with replaced.folder(make=True) as old:
                shown.move(
                    name, old, f"{name}.{uuid4().hex}"
                )  # one that was removed may still hold what somebody has open
        aside_of.move(name, shown, name)


def _copy(new: RemotePlace, standing: RemotePlace) -> None:
    for document in (ZARR_JSON, f"{PIXELS}/{ZARR_JSON}"):
        (standing / document).remove_one()
    names = set(new.walk())
    documents = sorted((name for name in names if name.endswith(ZARR_JSON)), key=lambda name: (-name.count("/"), name))

    def copy(name: str) -> None:
        (new / name).copy_to(standing / name)

    with ThreadPoolExecutor(_AT_A_TIME, "dcm2zarr-replace") as threads:
        list(threads.map(lambda name: (standing / name).remove_one(), set(standing.walk()) - names))
        list(threads.map(copy, names - set(documents)))
    for name in documents:
        copy(name)


def remove_replaced(out: OutputDir) -> None:
    """Remove everything that lies aside: replaced images, and images that were never to replace another.

    Raises
    ------
    OutputError
        If files can't be removed.
    """
    folder = out.aside
    with as_output_error(str(out.replaced), "can't be removed"):
        if folder.children():
            folder.remove()


def remove_stale(out: OutputDir, path: str) -> None:
    """Remove an image without a successor at its path, and the groups above it that are then empty.

    Raises
    ------
    OutputError
        If `path` isn't an image's path, or files can't be removed.
    """
    remove_image(out, path)
    with as_output_error(f"{out.image(path)}", "can't be removed"):
        group = path
        while group := group.rpartition("/")[0]:
            _remove_empty(out.image(group))


def _remove_empty(group: Place) -> None:
    document = group / ZARR_JSON
    if group.children() == [ZARR_JSON] and document.read_bytes() == plain_group():
        group.remove()
