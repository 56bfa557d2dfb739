"""Images made aside, while others stand at their paths: how they take their places.

::

    images.zarr/<path>                 the one that stands until then
    plan/aside/images.zarr/<path>      the new one, complete; afterwards the other one, until all of it is removed
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import cast
from uuid import uuid4

from pipeline.storage import ZARR_JSON, LocalPlace, OutputDir, Place, RemotePlace
from pipeline.store.arrays import PIXELS
from pipeline.store.finalise import as_output_error, check_path, create_groups_above, plain_group, remove_image

_AT_A_TIME = 16
"""Objects copied side by side."""


def take_place(out: OutputDir, path: str) -> None:
    """Put the image that is complete aside in the place of the one that stands at its path.

    In a folder the two change their names at once, or where the system can't do that one after the other; what stood there is
    kept aside. Of objects, the server makes copies: the image can't be opened meanwhile, and its attributes come last. Can be
    done again after it was interrupted, as long as the new one is there.

    Raises
    ------
    OutputError
        Where it can't be done; the new image is still whole then.
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
    """Remove all that lies aside: what was replaced, and what was never to replace anything.

    Raises
    ------
    OutputError
        Where files can't be removed.
    """
    folder = out.aside
    with as_output_error(str(out.replaced), "can't be removed"):
        if folder.children():
            folder.remove()


def remove_stale(out: OutputDir, path: str) -> None:
    """Remove an image that has no successor at its path, and the groups above it that then hold nothing.

    Raises
    ------
    OutputError
        For a path that is none, or files that can't be removed.
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
