"""Let only one run at a time write to an output in an object store, as far as its server allows.

The lock is an object, ``OUT/ledger/run.lock``, put only if there is none, and put again as a sign of life. If a run finds
a lock whose holder it can't see, it watches the lock. If the lock stays unchanged for a minute, the run replaces it, on the
condition that it is still the watched object. Servers check this by ``If-None-Match`` and ``If-Match``. A server that knows
neither, or silently ignores them, lets two runs put their locks. Then the later put stays, and after a moment both runs see
whose it is. Before each sign of life, a run also checks that the lock is still its own; if it isn't, the run writes no more.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial

from pipeline.errors import OutputError
from pipeline.output import lock_holder
from pipeline.output.lock_holder import LONGEST, Held, Holder, Mark, Sign
from pipeline.storage import ConditionsNotServedError, OutputDir, RemotePlace, as_place_error

SETTLING = 0.5
"""Seconds after which another run's put would have replaced ours."""
SETTLING_UNSURE = 3.0
"""The same for a server that ignores conditions: a put may have been on its way when we looked."""
_ATTEMPTS = 5


@contextmanager
def hold_object_lock(at: RemotePlace, tell: Callable[[str], object]) -> Iterator[None]:
    """Hold the lock `at` in the block.

    Parameters
    ----------
    at : RemotePlace
    tell : callable
        Called with a message if the lock must be watched for a minute.

    Raises
    ------
    OutputError
        If another run holds the lock (reason ``in_use``), or the store can't be written.
    """
    mark = lock_holder.new_mark()
    try:
        _take(at, mark, tell)
    except OSError as error:
        raise as_place_error(str(at), error) from error
    try:
        with Held(at.name.rpartition("/")[2], str(at), mark, partial(_renew, at)).kept():
            yield
    finally:
        with suppress(OSError):
            if _is_mine(at, mark):
                at.remove_one()


def look(at: RemotePlace) -> Sign | None:
    """Return the present state of the lock `at`; None if there is none."""
    try:
        data, version = at.read_version(LONGEST)
    except FileNotFoundError:
        return None
    mark = Mark.of(data)
    return Sign(data, tuple(sorted(version.items())), mark.lives() if mark else None)


def _take(at: RemotePlace, mark: Mark, tell: Callable[[str], object]) -> None:
    for _ in range(_ATTEMPTS):
        sign = look(at)
        if sign is None:
            with suppress(FileExistsError):  # if the answer to a put was lost, the retry finds our own object
                _create(at, mark)
        elif not _is(sign, mark):
            if living := lock_holder.watch(str(at), partial(look, at), sign, tell):
                raise _in_use(at, living.holder)
            with suppress(FileExistsError):
                _replace(at, mark, sign)
        time.sleep(SETTLING if _conditions_count(at, mark) else SETTLING_UNSURE)
        if _is_mine(at, mark):
            return
    last = look(at)
    raise _in_use(at, last.holder if last else None)


def _create(at: RemotePlace, mark: Mark) -> None:
    try:
        at.create(mark.to_bytes())
    except ConditionsNotServedError:
        at.write_bytes(mark.to_bytes())


def _replace(at: RemotePlace, mark: Mark, sign: Sign) -> None:
    """Replace the seen lock by ours; FileExistsError if the lock has changed since."""
    try:
        at.replace_version(mark.to_bytes(), dict(sign.version))
    except ConditionsNotServedError:
        if look(at) != sign:
            raise FileExistsError(str(at)) from None
        at.write_bytes(mark.to_bytes())


def _conditions_count(at: RemotePlace, mark: Mark) -> bool:
    """Whether the server refuses to create an object that exists."""
    try:
        if not _is_mine(at, mark):
            return True
        at.create(mark.to_bytes())
    except FileExistsError:
        return True
    except ConditionsNotServedError:
        return False
    return False


def _renew(at: RemotePlace, mark: Mark) -> bool:
    """Give a sign of life; return False if the lock isn't ours any more."""
    sign = look(at)
    if sign is None or not _is(sign, mark):
        return False
    with suppress(FileExistsError):
        _replace(at, mark, sign)
        return True
    return _is_mine(at, mark)  # if the answer to a put was lost, the retry finds our own object


def _is(sign: Sign, mark: Mark) -> bool:
    return sign.mark is not None and sign.mark.token == mark.token


def _is_mine(at: RemotePlace, mark: Mark) -> bool:
    sign = look(at)
    return sign is not None and _is(sign, mark)


def _in_use(at: RemotePlace, other: Holder | None) -> OutputError:
    out, _, name = at.name.rpartition(f"/{OutputDir.LEDGER}/")
    where = "there" if name == OutputDir.RUN_LOCK else name.removesuffix(".lock")
    return OutputError(
        f"{out}: another run is writing {where} ({other or 'it has just begun'}): wait for it, or choose another output",
        reason="in_use",
    )
