import dataclasses
import time

import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.catalog import has_plan, plan_tables, read_copies, read_facts, read_plan, write_plan
from pipeline.errors import OutputError
from pipeline.model import Copy, Failure, ImageSpec, Instance, PixelFormat, Placement, Plan, Region, Task, frame_axes
from pipeline.storage import Folder, OutputDir

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
whole = st.integers(0, 2**62)
vector = st.tuples(*[st.floats(allow_nan=False)] * 3)
formats = st.builds(
    PixelFormat,
    rows=st.integers(1, 65535),
    columns=st.integers(1, 65535),
    samples_per_pixel=st.sampled_from([1, 3]),
    dtype=st.sampled_from(["uint8", "int16"]),
    photometric_interpretation=text,
)
instances = st.builds(
    Instance,
    **dict.fromkeys(
        ("source", "study_instance_uid", "series_instance_uid", "sop_instance_uid", "modality", "transfer_syntax_uid"),
        text,
    ),
    **dict.fromkeys(("size", "mtime_ns", "number_of_frames", "encoded_bytes", "segment", "row"), whole),
    format=formats,
    frame_index=st.binary(max_size=40),
    frame_index_file=text,
    position=st.none() | vector,
    orientation=st.none() | st.tuples(vector, vector),
    instance_number=st.none() | st.integers(-(2**31), 2**31 - 1),
    image_type=text,
)
placements = st.builds(
    Placement, **dict.fromkeys(("instance", "start", "stop", "position"), whole), step=st.integers(1, 9)
)


def image(format, frames, **fields):  # noqa: A002
    axes = frame_axes(1 + len(format.frame_shape))
    return ImageSpec(format=format, axes=axes, sizes=(frames,), **fields)


images = st.builds(
    image,
    **dict.fromkeys(("path", "study_instance_uid", "series_instance_uid", "modality", "order"), text),
    format=formats,
    frames=whole,
    chunks=st.lists(whole, min_size=3, max_size=4).map(tuple),
    shards=st.lists(whole, min_size=3, max_size=4).map(tuple),
    placements=st.lists(placements, max_size=3).map(tuple),
)
tasks = st.builds(
    Task,
    **dict.fromkeys(("id", "memory_bytes", "encoded_bytes", "stored_bytes"), whole),
    regions=st.lists(st.builds(Region, whole, whole, whole), max_size=3).map(tuple),
)
failures = st.tuples(whole, st.builds(Failure, text, text, st.none() | whole))
any_plan = st.builds(
    Plan,
    **{
        name: st.lists(values, max_size=4).map(tuple)
        for name, values in {
            "instances": instances,
            "images": images,
            "tasks": tasks,
            "refused": failures,
            "unselected": whole,
        }.items()
    },
)


@settings(deadline=None, max_examples=40)
@given(plan=any_plan)
def test_a_plan_comes_back_equal_in_every_field(plan, tmp_path_factory):
    out = str(tmp_path_factory.mktemp("out"))
    write_plan(OutputDir.of(out), plan)
    assert read_plan(OutputDir.of(out)) == plan
    assert repr(read_plan(OutputDir.of(out))) == repr(plan)  # the types too: tuples, ints, bytes


def test_every_field_of_the_model_is_in_the_round_trip():
    built = {field.name for field in dataclasses.fields(Plan)}
    assert built == {"instances", "images", "tasks", "refused", "unselected"}


def one_instance(number):
    return Instance(
        source=f"/data/series/{number:06d}.dcm",
        size=526_000,
        mtime_ns=1,
        study_instance_uid="1.2.3",
        series_instance_uid=f"1.2.3.{number // 100}",
        sop_instance_uid=f"1.2.3.4.{number}",
        modality="CT",
        transfer_syntax_uid="1.2.840.10008.1.2.1",
        format=PixelFormat(512, 512, 1, "int16", "MONOCHROME2"),
        number_of_frames=1,
        encoded_bytes=524_288,
        segment=number // 200,
        row=number % 200,
        frame_index=number.to_bytes(4) * 80,
        position=(0.0, 0.1, number * 0.7),
        orientation=((1.0, 0.0, 0.0), (0.0, 1.0, 0.0)),
        instance_number=number,
    )


def test_a_hundred_thousand_instances_are_quick_and_share_what_repeats(tmp_path):
    plan = Plan(tuple(one_instance(n) for n in range(100_000)), (), ())
    begin = time.process_time()
    write_plan(OutputDir.of(tmp_path), plan)
    again = read_plan(OutputDir.of(tmp_path))
    assert time.process_time() - begin < 15  # seconds of processor; about 3 where this was written
    assert again == plan
    assert len({id(i.format) for i in again.instances}) == 1
    assert len({id(i.study_instance_uid) for i in again.instances}) == 1


def test_half_a_plan_is_refused(tmp_path):
    out = str(tmp_path)
    with pytest.raises(OutputError, match=r"plan\.json"):
        read_plan(OutputDir.of(out))
    write_plan(OutputDir.of(out), Plan((one_instance(1),), (), ()))
    assert has_plan(OutputDir.of(out))
    pq.write_table(pq.read_table(tmp_path / "plan/1/instances.parquet").slice(1), tmp_path / "plan/1/instances.parquet")
    with pytest.raises(OutputError, match="has 0 rows, the plan has 1"):
        read_plan(OutputDir.of(out))
    write_plan(OutputDir.of(out), Plan((one_instance(1),), (), ()))
    (tmp_path / "plan/2/spans.parquet").unlink()
    with pytest.raises(OutputError, match="spans"):
        read_plan(OutputDir.of(out))
    (tmp_path / "plan/plan.json").unlink()
    assert not has_plan(OutputDir.of(out))


def test_copies_and_facts_come_back(tmp_path):
    out = str(tmp_path)
    copies = (Copy(3, 4, "/b/\u2028.dcm", "/a.dcm"), Copy(0, 1, "c", "a"))
    write_plan(OutputDir.of(out), Plan((), (), ()), copies=copies, facts={"files": 7, "segments": [0, 1]})
    assert read_copies(OutputDir.of(out)) == copies
    assert read_facts(OutputDir.of(out)) == {"files": 7, "segments": [0, 1]}


def test_a_plan_follows_another_in_one_moment(tmp_path, monkeypatch):
    out = str(tmp_path)
    first, second = Plan((one_instance(1),), (), ()), Plan((one_instance(2), one_instance(3)), (), ())
    write_plan(OutputDir.of(out), first)
    steps = []
    rename = Folder.replace

    def watched(folder, part, name):
        assert read_plan(OutputDir.of(out)) == first
        steps.append(name)
        return rename(folder, part, name)

    monkeypatch.setattr(Folder, "replace", watched)
    write_plan(OutputDir.of(out), second)
    assert steps[-1] == "plan.json"
    assert len(steps) == 9
    assert read_plan(OutputDir.of(out)) == second
    assert sorted(path.name for path in (tmp_path / "plan").iterdir()) == ["2", "plan.json"]


def test_no_temporary_file_stays_after_a_failed_write(tmp_path, monkeypatch):
    def full(*_args, **_kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pq.ParquetWriter, "write_table", full)
    with pytest.raises(OSError, match="No space"):
        write_plan(OutputDir.of(tmp_path), Plan((one(0),), (), ()))
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def one(number):
    pixels = PixelFormat(4, 4, 1, "int16", "MONOCHROME2")
    direction = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0))
    uids = ("1.2", f"1.2.{number % 3}", f"1.2.{number}")
    return Instance(
        *(f"/in/{number}", 1, 2, *uids, "CT", "1.2.840.10008.1.2.1", pixels, 1, 32, 0, number),
        frame_index=b"same",
        position=(0.0, 0.0, float(number)),
        orientation=direction,
    )


def test_row_groups_join_and_equal_values_are_one_object(tmp_path, monkeypatch):
    monkeypatch.setattr(plan_tables, "GROUP_ROWS", 4)
    whole = Plan(tuple(map(one, range(10))), (), (), unselected=tuple(range(10)))
    write_plan(OutputDir.of(tmp_path), whole)
    assert pq.ParquetFile(tmp_path / "plan/1/instances.parquet").metadata.num_row_groups == 3
    found = read_plan(OutputDir.of(tmp_path))
    assert found == whole
    for name, different in {"format": 1, "frame_index": 1, "orientation": 1, "series_instance_uid": 3}.items():
        assert len({id(getattr(instance, name)) for instance in found.instances}) == different
