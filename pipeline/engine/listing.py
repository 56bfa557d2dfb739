"""What has become of the source files since they were scanned."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from pipeline import catalog, scan
from pipeline.catalog import PENDING, Known
from pipeline.engine import recorded
from pipeline.engine.digests import read_digests
from pipeline.engine.executors import Executor
from pipeline.engine.state import Prepared
from pipeline.errors import OutputError
from pipeline.model import SourceFile
from pipeline.model.sources import local_path
from pipeline.storage import Place, is_remote

_SOME = 5


@dataclass(slots=True)
class Changes:
    """How the files differ from those that an earlier run has scanned."""

    new: list[SourceFile] = field(default_factory=list)
    """Files that it didn't know, and files that gave it no image and are other ones now."""
    replaced: list[Known] = field(default_factory=list)
    """What was known of those of the latter kind: their new rows stand for it."""
    gone: set[str] = field(default_factory=set)
    """Sources that are no longer there."""
    unhashed: int = 0
    """Files whose content should be compared, and can't be: they were scanned without ``source.hash``."""

    def __bool__(self) -> bool:
        return bool(self.new)


def compare(out: Place, before: Prepared, files: Iterable[SourceFile], by_content: Executor | None = None) -> Changes:
    """Compare the files there are with those that `before` was made from.

    Parameters
    ----------
    out : Place
    before : Prepared
    files : iterable of SourceFile
    by_content : Executor, optional
        Reads the files whose SHA-256 is known: the content decides then, whatever the time of change.

    Raises
    ------
    OutputError
        Where a file that holds an image has changed (reason ``source_changed``): what is stored of it is no longer what
        is there.
    """
    known = catalog.read_listing(str(out), before.segments, before.replaced)
    changes = Changes()
    changed: list[_Changed] = []
    to_read: list[tuple[SourceFile, Known]] = []
    for file in files:
        earlier = known.pop(file.source, None)
        if earlier is None:
            if not _is_emptied(file, known):
                changes.new.append(file)
        elif by_content and earlier.sha256 and _could_be_equal(file, earlier):
            to_read.append((file, earlier))
        elif not _is_unseen(file) and earlier.identity != catalog.identity(file):
            if earlier.status == PENDING:
                changed.append(_Changed(file, earlier, _difference(earlier, file)))
            else:
                changes.new.append(file)
                changes.replaced.append(earlier)
        elif by_content and earlier.status == PENDING:
            changes.unhashed += 1
    if by_content and to_read:
        changed += _changed_content(before, to_read, by_content)
    _settle(out, before, changes, changed)
    changes.gone = {source for source, earlier in known.items() if _is_gone(source, earlier)}
    return changes


class _Changed(NamedTuple):
    """A file that holds an image and isn't what it was."""

    file: SourceFile
    earlier: Known
    how: str


def _settle(out: Place, before: Prepared, changes: Changes, changed: list[_Changed]) -> None:
    """Refuse changed files, but those of which nothing could be stored: they may be replaced."""
    failed = _failed(out, before) if changed else set()
    for one in changed:
        if one.file.source in failed:
            changes.new.append(one.file)
            changes.replaced.append(one.earlier)
    _refuse(out, [f"{one.file.source} ({one.how})" for one in changed if one.file.source not in failed])


def _could_be_equal(file: SourceFile, earlier: Known) -> bool:
    return not file.problem and (_is_unseen(file) or file.size == earlier.identity[0])


def _changed_content(before: Prepared, pairs: list[tuple[SourceFile, Known]], executor: Executor) -> list[_Changed]:
    """Return those of the files whose content isn't what was scanned, in their order."""
    etags = {one.source: one.etag for one in before.plan.instances if one.etag}
    changed: dict[int, str] = {}
    for found in read_digests(((n, file.source, file.size) for n, (file, _) in enumerate(pairs)), executor):
        file, earlier = pairs[found.key]
        touched = not _is_unseen(file) and catalog.identity(file) != earlier.identity
        if not found.sha256:
            changed[found.key] = found.problem
        elif found.sha256 != earlier.sha256:
            changed[found.key] = "other content" if touched else "other content with the same size and time of change"
        elif touched and is_remote(file.source) and etags.get(file.source) != file.etag:
            # of an object, the tasks compare the ETag instead, and would refuse it
            changed[found.key] = _difference(earlier, file)
    return [_Changed(*pairs[key], changed[key]) for key in sorted(changed)]


def _is_unseen(file: SourceFile) -> bool:
    """Whether it is an object named by its URL alone: what it is now is compared when it is read."""
    return file.size < 0 and not file.problem


def _failed(out: Place, before: Prepared) -> set[str]:
    """Return the sources of which nothing could be stored."""
    results = recorded.results(out, before)
    return {before.plan.instances[one.instance].source for r in results for one in r.outcomes if one.failure}


def _refuse(out: Place, changed: list[str]) -> None:
    if changed:
        more = f" and {len(changed) - _SOME} more" if len(changed) > _SOME else ""
        raise OutputError(
            f"{out}: {len(changed)} file(s) have changed since they were scanned: {'; '.join(changed[:_SOME])}{more}. "
            "Put back what was there, choose another output directory, or convert everything anew with --overwrite",
            reason="source_changed",
        )


def _is_emptied(file: SourceFile, known: Mapping[str, Known]) -> bool:
    """Whether a source path that was given isn't there any more, after what it held was converted."""
    return file.problem == "file_not_found" and any(source.startswith(f"{file.source}/") for source in known)


def _is_gone(source: str, earlier: Known) -> bool:
    """Whether a file that isn't among the sources any more is nowhere: these may be others this time."""
    return is_remote(source) or catalog.identity(scan.look_at(local_path(source))) != earlier.identity


def _difference(earlier: Known, file: SourceFile) -> str:
    size, _ = earlier.identity
    if file.problem:
        return file.problem
    return f"{size} bytes then, {file.size} now" if size != file.size else "another time of change"


def instances_gone(before: Prepared, gone: set[str]) -> Iterator[int]:
    """Yield the positions of the instances whose files are gone."""
    return (i for i, one in enumerate(before.plan.instances) if one.source in gone)
