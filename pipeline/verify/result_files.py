"""Check the files of a result outside the images: none missing, none extra, none changed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from pipeline.output import sealed_files
from pipeline.storage import ZARR_JSON, Carried, OutputDir, Place
from pipeline.store import is_plain_group, list_folder, read_file
from pipeline.verify.problems import Problem

_GROUPS_AT_A_TIME = 16
"""Studies and series checked in parallel: in an object store each costs a listing and a request."""


def check_sealed(out: OutputDir, sealed: Mapping[str, tuple[int, str]]) -> Iterator[Problem]:
    """Yield the differences from what the run left outside images.zarr and ledger."""
    found = sealed_files(out)
    for name in sorted(sealed.keys() | found.keys()):
        if name not in found:
            yield Problem("missing_file", name, "is missing")
        elif name not in sealed and not name.startswith(f"{out.LEDGER}/"):
            yield Problem("extra_file", name, "doesn't belong to the result")
        elif name in sealed and found[name] != sealed[name]:
            sizes = f"{found[name][0]} bytes, but {sealed[name][0]} were written"
            yield Problem("changed_file", name, f"isn't as written ({sizes})")


def check_top(out: OutputDir) -> Iterator[Problem]:
    """Yield the foreign files in the output directory and in the ledger."""
    for name in out.root.children():
        if name not in out.OURS:
            yield Problem("extra_file", name, "doesn't belong to the result")
    ours = {*out.LOCKS, *out.ledger_segments()}
    for name in out.ledger.children():
        if name not in ours:
            yield Problem("extra_file", f"{out.LEDGER}/{name}", "doesn't belong to the result")


def check_ledger_end(out: OutputDir, sealed: Collection[str]) -> Iterator[Problem]:
    """Yield segments with data behind the ledger's last record; older segments are among the `sealed` files."""
    for segment in (f"{out.LEDGER}/{name}" for name in out.ledger_segments()):
        if segment not in sealed and _last_byte(out.at(segment)) != b"\n":
            yield Problem("ledger_damaged", segment, "it doesn't end with a whole record")


def _last_byte(file: Place) -> bytes:
    with file.open() as opened:
        size = opened.seek(0, 2)
        opened.seek(max(size - 1, 0))
        return opened.read(1)


def check_groups(out: OutputDir, images: Iterable[str]) -> Iterator[Problem]:
    """Yield the problems above the images: the root, studies and series must be plain groups and hold nothing else.

    Parameters
    ----------
    out : OutputDir
    images : iterable of str
        The paths of all images that may exist, even in part.
    """
    below: defaultdict[str, set[str]] = defaultdict(set)
    below[""] = set()
    for path in images:
        names = path.split("/")
        for depth, name in enumerate(names):
            below["/".join(names[:depth])].add(name)
    check = Carried(partial(_check_group, out))
    with ThreadPoolExecutor(_GROUPS_AT_A_TIME, "dcm2zarr-groups") as threads:
        for problems in threads.map(check, sorted(below.items())):
            yield from problems


def _check_group(out: OutputDir, group_and_wanted: tuple[str, set[str]]) -> list[Problem]:
    group, wanted = group_and_wanted
    found: list[Problem] = []
    where = f"{out.IMAGES}/{group}/" if group else f"{out.IMAGES}/"
    text = read_file(out, f"{group}/{ZARR_JSON}" if group else ZARR_JSON)
    if text is None:
        found.append(Problem("missing_file", f"{where}{ZARR_JSON}", "is missing"))
    elif not is_plain_group(text):
        found.append(
            Problem("changed_file", f"{where}{ZARR_JSON}", "isn't the metadata of a group that only holds groups")
        )
    present = set(list_folder(out, group)) - {ZARR_JSON}
    return [
        *found,
        *(Problem("extra_file", where + name, "doesn't belong to the result") for name in sorted(present - wanted)),
    ]
