import hashlib
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import SourceError
from pipeline.model import Instance, PixelFormat
from pipeline.scan import candidates, digest, mark, shared_uids

BASE = Instance(
    source="",
    size=0,
    mtime_ns=0,
    study_instance_uid="1",
    series_instance_uid="1.1",
    sop_instance_uid="",
    modality="CT",
    transfer_syntax_uid="1.2.840.10008.1.2",
    format=PixelFormat(1, 1, 1, "uint8", "MONOCHROME2"),
    number_of_frames=1,
    encoded_bytes=1,
    segment=0,
    row=0,
)


def made(*described):
    return [replace(BASE, source=source, sop_instance_uid=uid, size=size) for source, uid, size in described]


def test_only_files_that_share_uid_and_size_are_looked_at():
    instances = made(("/a", "1", 5), ("/b", "1", 5), ("/c", "1", 6), ("/d", "2", 5), ("/e", "unknown-1", 5))
    instances += made(("/f", "unknown-1", 5))
    assert candidates(instances) == [(0, 1)]


def test_the_first_by_source_is_kept_and_others_are_noted():
    instances = made(("/c", "1", 5), ("/a", "1", 5), ("/b", "1", 5), ("/x", "1", 5))
    copies = mark(instances, {0: "d", 1: "d", 2: "d", 3: "other"})
    assert copies == {0: 1, 2: 1}
    kept = [i for n, i in enumerate(instances) if n not in copies]
    assert shared_uids(kept) == dict.fromkeys((0, 1), "SOP Instance UID shared with 1 other file(s)")


described = st.tuples(st.sampled_from("abcdefgh").map("/{}".format), st.sampled_from("123"), st.integers(1, 2))


@given(st.lists(st.tuples(described, st.sampled_from("xy")), unique_by=lambda pair: pair[0][0]))
def test_one_of_each_content_is_kept(files):
    instances = made(*[file for file, _ in files])
    content = [(i.sop_instance_uid, i.size, d) for i, (_, d) in zip(instances, files, strict=True)]
    looked_at = {position for group in candidates(instances) for position in group}
    copies = mark(instances, {position: files[position][1] for position in looked_at})
    assert {content[i] for i in range(len(files)) if i not in copies} == set(content)
    assert len(files) - len(copies) == len(set(content))
    for copy, kept in copies.items():
        assert content[copy] == content[kept]
        assert instances[kept].source < instances[copy].source


def test_digest(tmp_path):
    (tmp_path / "f").write_bytes(b"abc" * 100_000)
    assert digest(str(tmp_path / "f")) == hashlib.sha256(b"abc" * 100_000).hexdigest()
    with pytest.raises(SourceError, match="gone"):
        digest(str(tmp_path / "gone"))
