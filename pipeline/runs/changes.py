"""What has become of the source files since they were scanned."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from pipeline import catalog, scan
from pipeline.catalog import PENDING, KnownFile
from pipeline.config import Source
from pipeline.errors import RETRIED, OutputError
from pipeline.executors import Executor
from pipeline.model import SourceFile, local_path
from pipeline.output import recorded_results
from pipeline.runs.digests import Digest, read_digests
from pipeline.runs.state import Prepared
from pipeline.storage import OutputDir, is_remote

_SOME = 5


class Changed(NamedTuple):
    """A file that isn't what it was."""

    file: SourceFile
    earlier: KnownFile
    how: str


@dataclass(slots=True)
class Changes:
    """How the files differ from those that an earlier run has scanned."""

    new: list[SourceFile] = field(default_factory=list)
    """Files that it didn't know, and files that are other ones now."""
    replaced: dict[str, KnownFile] = field(default_factory=dict)
    """What was known of those of the latter kind, by source: their new rows stand for it."""
    changed: list[Changed] = field(default_factory=list)
    """Those of them of which something is stored."""
    retried: set[str] = field(default_factory=set)
    """Sources of new files that are what they were, and failed then for a reason outside of them."""
    gone: set[str] = field(default_factory=set)
    """Sources that are no longer there, or can't be read."""
    copies: dict[str, tuple[SourceFile, KnownFile]] = field(default_factory=dict)
    """Copies that were left out, by source: what they are now, and what was known."""
    unhashed: int = 0
    """Files whose content should be compared, and can't be: they were scanned without ``source.hash``."""
    returned: bool = False
    """Whether originals are there again for whose sake an image was left as it is."""

    def __bool__(self) -> bool:
        return bool(self.new or self.replaced) or self.returned


def compare(
    out: OutputDir, before: Prepared, files: Iterable[SourceFile], executor: Executor, settings: Source
) -> Changes:
    """Compare the files there are with those that `before` was made from.

    Parameters
    ----------
    out : OutputDir
    before : Prepared
    files : iterable of SourceFile
    executor : Executor
        Reads the files whose SHA-256 is known where that decides whether they are the same: all of them with
        ``source.hash``, else those that look changed.
    settings : Source
        The configuration's section.

    Raises
    ------
    OutputError
        With ``source.changed: refuse``, where a file that holds an image has changed (reason ``source_changed``).
    """
    looking = _Looking(before, settings, catalog.read_listing(out, before.segments, before.replaced))
    for file in files:
        looking.look(file)
    for found in read_digests(((n, file.source, file.size) for n, (file, _) in enumerate(looking.to_read)), executor):
        looking.take(found)
    changes = looking.changes
    changes.replaced |= {folder: looking.known.pop(folder) for folder in looking.opened_folders()}
    changes.changed.sort(key=lambda one: one.file.source)
    _settle(out, before, changes, refuse=settings.changed == "refuse")
    changes.gone |= {source for source, earlier in looking.known.items() if _is_gone(source, earlier)}
    changes.returned = _are_back(before, changes.gone)
    return changes


class _Looking:
    """Takes one file after the other, and what was read of those that had to be read."""

    def __init__(self, before: Prepared, settings: Source, known: dict[str, KnownFile]) -> None:
        self.settings = settings
        self.changes = Changes()
        self.known = known
        """What no file has been found for yet."""
        self._closed = [source for source, one in known.items() if one.reason == "unreadable" and one.identity[0] < 0]
        """Folders that could not be listed; also files that could not be looked at."""
        self._listed: set[str] = set()
        self.to_read: list[tuple[SourceFile, KnownFile]] = []
        self._copies = {(copy.segment, copy.row) for copy in before.copies}
        # of several versions of a file the last one counts
        self._etags = {one.source: one.etag for one in before.plan.instances if one.etag}

    def look(self, file: SourceFile) -> None:
        """Tell what has become of a file, as far as its listing says."""
        self._listed.update(folder for folder in self._closed if file.source.startswith(f"{folder}/"))
        earlier = self.known.pop(file.source, None)
        if earlier is None:
            if not _is_emptied(file, self.known):
                self.changes.new.append(file)
            return
        if (earlier.segment, earlier.row) in self._copies:
            self.changes.copies[file.source] = file, earlier
        looks_changed = not _is_unseen(file) and earlier.identity != catalog.identity(file) and not self._has_etag(file)
        if earlier.status == PENDING and file.problem and self.settings.changed == "redo":
            self.changes.gone.add(file.source)  # what it holds isn't known: as if it were deleted
        elif earlier.sha256 and _could_be_equal(file, earlier) and (self.settings.hash or looks_changed):
            self.to_read.append((file, earlier))
        elif looks_changed:
            self._change(file, earlier, _difference(earlier, file))
        elif (
            earlier.status == "failed"
            and earlier.reason in RETRIED
            and not file.problem
            and scan.is_readable(file.source)
        ):
            self._change(file, earlier, "")
            self.changes.retried.add(file.source)
        elif self.settings.hash and earlier.status == PENDING:
            self.changes.unhashed += 1

    def opened_folders(self) -> set[str]:
        """Return the folders that could not be listed once, and were this time: their files stand for them now."""
        return self._listed & self.known.keys()

    def take(self, found: Digest) -> None:
        """Tell what has become of a file, by its content."""
        file, earlier = self.to_read[found.key]
        touched = not _is_unseen(file) and catalog.identity(file) != earlier.identity
        if not found.sha256:
            if self.settings.changed == "redo":
                self.changes.gone.add(file.source)
            else:
                self._change(file, earlier, found.problem)
        elif found.sha256 != earlier.sha256:
            self._change(file, earlier, f"other content{'' if touched else ' with the same size and time of change'}")
        elif touched and is_remote(file.source) and not self._has_etag(file):
            # of an object, the tasks compare the ETag instead, and would refuse it
            self._change(file, earlier, _difference(earlier, file))

    def _change(self, file: SourceFile, earlier: KnownFile, how: str) -> None:
        if earlier.status == PENDING:
            self.changes.changed.append(Changed(file, earlier, how))
        else:
            self.changes.new.append(file)
            self.changes.replaced[file.source] = earlier

    def _has_etag(self, file: SourceFile) -> bool:
        """Whether it is the version of an object that was scanned, whenever that was written."""
        return bool(file.etag) and self._etags.get(file.source) == file.etag


def _settle(out: OutputDir, before: Prepared, changes: Changes, *, refuse: bool) -> None:
    """Count changed files as new ones, and keep apart those of which something is stored: these may be refused."""
    failed = _failed(out, before) if changes.changed else set()
    stored = [one for one in changes.changed if (one.earlier.segment, one.earlier.row) not in failed]
    if refuse:
        _refuse(out, [f"{one.file.source} ({one.how})" for one in stored])
    changes.new += [one.file for one in changes.changed]
    changes.replaced |= {one.file.source: one.earlier for one in changes.changed}
    changes.changed = stored


def _are_back(before: Prepared, gone: set[str]) -> bool:
    """Whether an image that has stayed as it is, because originals of it were gone, can be made anew after all."""
    replaced, instances = before.replaced_instances(), before.plan.instances
    lost = gone | promised(before, gone)
    current = {one.source for i, one in enumerate(instances) if i not in replaced} - lost if replaced else set()
    return any(
        image.path not in before.kept and current.issuperset(instances[i].source for i in own)
        for image in before.plan.images
        if not replaced.isdisjoint(own := {placement.instance for placement in image.placements})
    )


def _could_be_equal(file: SourceFile, earlier: KnownFile) -> bool:
    return not file.problem and (_is_unseen(file) or file.size == earlier.identity[0])


def _is_unseen(file: SourceFile) -> bool:
    """Whether it is an object named by its URL alone: what it is now is compared when it is read."""
    return file.size < 0 and not file.problem


def _failed(out: OutputDir, before: Prepared) -> set[tuple[int, int]]:
    """Return the rows of the files of which nothing could be stored."""
    results = recorded_results.results(out, before.id, before.plan)
    failed = (one.instance for r in results for one in r.outcomes if one.failure)
    return {(before.plan.instances[i].segment, before.plan.instances[i].row) for i in failed}


def _refuse(out: OutputDir, changed: list[str]) -> None:
    if changed:
        more = f" and {len(changed) - _SOME} more" if len(changed) > _SOME else ""
        raise OutputError(
            f"{out}: {len(changed)} file(s) have changed since they were scanned: {'; '.join(changed[:_SOME])}{more}. "
            "Put back what was there, let the images that they belong to be made anew (source.changed: redo), choose "
            "another output directory, or convert everything anew with --overwrite",
            reason="source_changed",
        )


def _is_emptied(file: SourceFile, known: Mapping[str, KnownFile]) -> bool:
    """Whether a source path that was given isn't there any more, after what it held was converted."""
    return file.problem == "file_not_found" and any(source.startswith(f"{file.source}/") for source in known)


def _is_gone(source: str, earlier: KnownFile) -> bool:
    """Whether a file that isn't among the sources any more is nowhere: these may be others this time."""
    return is_remote(source) or catalog.identity(scan.look_at(local_path(source))) != earlier.identity


def _difference(earlier: KnownFile, file: SourceFile) -> str:
    size, _ = earlier.identity
    if file.problem:
        return file.problem
    return f"{size} bytes then, {file.size} now" if size != file.size else "another time of change"


def promised(before: Prepared, gone: set[str]) -> set[str]:
    """Return the files that stand for copies which are gone: what they hold must not go when they change."""
    return {copy.kept for copy in before.copies if copy.source in gone}


def instances_gone(before: Prepared, gone: set[str]) -> Iterator[int]:
    """Yield the positions of the instances whose files are gone."""
    return (i for i, one in enumerate(before.plan.instances) if one.source in gone)
