"""Find out which source files have changed since they were scanned."""

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
    """A file that has changed."""

    file: SourceFile
    earlier: KnownFile
    how: str


@dataclass(slots=True)
class Changes:
    """Differences between the files and those that an earlier run has scanned."""

    new: list[SourceFile] = field(default_factory=list)
    """Files that the earlier run didn't know, and files that have been replaced since."""
    replaced: dict[str, KnownFile] = field(default_factory=dict)
    """Earlier records of the replaced files, by source: their new rows replace these."""
    changed: list[Changed] = field(default_factory=list)
    """Replaced files whose earlier content is stored."""
    retried: set[str] = field(default_factory=set)
    """Sources of new files that haven't changed, but failed then for a reason outside the file."""
    gone: set[str] = field(default_factory=set)
    """Sources that no longer exist or can't be read."""
    copies: dict[str, tuple[SourceFile, KnownFile]] = field(default_factory=dict)
    """Copies that were left out, by source: the file now, and its earlier record."""
    unhashed: int = 0
    """Number of files whose content should be compared but can't be, because they were scanned without ``source.hash``."""
    returned: bool = False
    """Whether missing originals, for whose sake an image was left as it is, have returned."""

    def __bool__(self) -> bool:
        return bool(self.new or self.replaced) or self.returned


def compare(
    out: OutputDir, before: Prepared, files: Iterable[SourceFile], executor: Executor, settings: Source
) -> Changes:
    """Compare the current files with those that `before` was made from.

    Parameters
    ----------
    out : OutputDir
    before : Prepared
    files : iterable of SourceFile
    executor : Executor
        Reads the files whose SHA-256 is known, if it decides whether they have changed: all of them with
        ``source.hash``, else those that look changed.
    settings : Source
        The configuration's section.

    Raises
    ------
    OutputError
        With ``source.changed: refuse``, if a file that holds an image has changed (reason ``source_changed``).
    """
    looking = _Comparison(before, settings, catalog.read_listing(out, before.segments, before.replaced))
    for file in files:
        looking.look(file)
    for found in read_digests(((n, file.source, file.size) for n, (file, _) in enumerate(looking.to_read)), executor):
        looking.take(found)
    changes = looking.changes
    changes.replaced |= {folder: looking.known.pop(folder) for folder in looking.opened_folders()}
    changes.changed.sort(key=lambda change: change.file.source)
    _settle(out, before, changes, refuse=settings.changed == "refuse")
    changes.gone |= {source for source, earlier in looking.known.items() if _is_gone(source, earlier)}
    changes.returned = _have_returned(before, changes.gone)
    return changes


class _Comparison:
    """Compares one file after the other, first by its listing, then by its content if that had to be read."""

    def __init__(self, before: Prepared, settings: Source, known: dict[str, KnownFile]) -> None:
        self.settings = settings
        self.changes = Changes()
        self.known = known
        """Earlier records whose file hasn't been found yet."""
        self._closed = [
            source for source, file in known.items() if file.reason == "unreadable" and file.identity[0] < 0
        ]
        """Folders that couldn't be listed; also files that couldn't be examined."""
        self._listed: set[str] = set()
        self.to_read: list[tuple[SourceFile, KnownFile]] = []
        self._copies = {(copy.segment, copy.row) for copy in before.copies}
        # Of several versions of a file the last one counts.
        self._etags = {instance.source: instance.etag for instance in before.plan.instances if instance.etag}

    def look(self, file: SourceFile) -> None:
        """Compare a file with its earlier record, as far as its listing allows."""
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
            self.changes.gone.add(file.source)  # its content is unknown, so it counts as deleted
        elif earlier.sha256 and _could_be_equal(file, earlier) and (self.settings.hash or looks_changed):
            self.to_read.append((file, earlier))
        elif looks_changed:
            self._change(file, earlier, _describe_difference(earlier, file))
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
        """Return the folders that couldn't be listed earlier but could this time: their files replace them."""
        return self._listed & self.known.keys()

    def take(self, found: Digest) -> None:
        """Compare a file with its earlier record by its content."""
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
            # For objects, the tasks compare the ETag instead, and would refuse it.
            self._change(file, earlier, _describe_difference(earlier, file))

    def _change(self, file: SourceFile, earlier: KnownFile, how: str) -> None:
        if earlier.status == PENDING:
            self.changes.changed.append(Changed(file, earlier, how))
        else:
            self.changes.new.append(file)
            self.changes.replaced[file.source] = earlier

    def _has_etag(self, file: SourceFile) -> bool:
        """Return whether the file is the version of an object that was scanned, whenever it was written."""
        return bool(file.etag) and self._etags.get(file.source) == file.etag


def _settle(out: OutputDir, before: Prepared, changes: Changes, *, refuse: bool) -> None:
    """Count changed files as new, and list those whose content is stored; `refuse` refuses these."""
    failed = _find_failed(out, before) if changes.changed else set()
    stored = [change for change in changes.changed if (change.earlier.segment, change.earlier.row) not in failed]
    if refuse:
        _refuse(out, [f"{change.file.source} ({change.how})" for change in stored])
    changes.new += [change.file for change in changes.changed]
    changes.replaced |= {change.file.source: change.earlier for change in changes.changed}
    changes.changed = stored


def _have_returned(before: Prepared, gone: set[str]) -> bool:
    """Return whether an image that stayed because originals were gone can be made again now."""
    replaced, instances = before.replaced_instances(), before.plan.instances
    lost = gone | find_originals_of_lost_copies(before, gone)
    current = (
        {instance.source for i, instance in enumerate(instances) if i not in replaced} - lost if replaced else set()
    )
    return any(
        image.path not in before.kept and current.issuperset(instances[i].source for i in own)
        for image in before.plan.images
        if not replaced.isdisjoint(own := image.members.keys())
    )


def _could_be_equal(file: SourceFile, earlier: KnownFile) -> bool:
    return not file.problem and (_is_unseen(file) or file.size == earlier.identity[0])


def _is_unseen(file: SourceFile) -> bool:
    """Return whether the file is an object named by its URL alone, which is compared only when it is read."""
    return file.size < 0 and not file.problem


def _find_failed(out: OutputDir, before: Prepared) -> set[tuple[int, int]]:
    """Return the rows of the files that couldn't be stored at all."""
    results = recorded_results.results(out, before.id, before.plan)
    failed = (outcome.instance for r in results for outcome in r.outcomes if outcome.failure)
    return {(before.plan.instances[i].segment, before.plan.instances[i].row) for i in failed}


def _refuse(out: OutputDir, changed: list[str]) -> None:
    if changed:
        more = f" and {len(changed) - _SOME} more" if len(changed) > _SOME else ""
        raise OutputError(
            f"{out}: {len(changed)} file(s) have changed since they were scanned: {'; '.join(changed[:_SOME])}{more}. "
            "Restore the earlier files, let the images with these files be made again (source.changed: redo), choose "
            "another output directory, or convert everything again with --overwrite",
            reason="source_changed",
        )


def _is_emptied(file: SourceFile, known: Mapping[str, KnownFile]) -> bool:
    """Return whether a given source path no longer exists although its content was converted."""
    return file.problem == "file_not_found" and any(source.startswith(f"{file.source}/") for source in known)


def _is_gone(source: str, earlier: KnownFile) -> bool:
    """Return whether a file that is no longer among the sources doesn't exist either; the sources may differ this time."""
    return is_remote(source) or catalog.identity(scan.look_at(local_path(source))) != earlier.identity


def _describe_difference(earlier: KnownFile, file: SourceFile) -> str:
    size, _ = earlier.identity
    if file.problem:
        return file.problem
    return f"{size} bytes then, {file.size} now" if size != file.size else "another time of change"


def find_originals_of_lost_copies(before: Prepared, gone: set[str]) -> set[str]:
    """Return the stored files whose copies are gone: their content mustn't be dropped when they change."""
    return {copy.kept for copy in before.copies if copy.source in gone}


def find_gone_instances(before: Prepared, gone: set[str]) -> Iterator[int]:
    """Yield the positions of the instances whose files are gone."""
    return (i for i, instance in enumerate(before.plan.instances) if instance.source in gone)
