"""The ledger returns what was recorded, or less and says so; never anything else."""

from __future__ import annotations

import errno
import json
import os
import sys
import zlib
from dataclasses import fields, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import OutputError
from pipeline.model import Failure, InstanceOutcome, Plan, RegionResult, Task, TaskResult
from pipeline.outcomes import Outcomes
from pipeline.output import ledger
from pipeline.output.ledger import Finished, Ledger, read
from pipeline.storage import OutputDir

PLAN = "0123456789abcdef"


natural = st.integers(0, 2**62)


def every_field(kind: type, **known: st.SearchStrategy) -> st.SearchStrategy:
    """Values of a dataclass in which no field keeps its default, so that a field which the ledger forgets is noticed."""
    numbers = {"int": natural, "int | None": st.none() | natural}
    return st.builds(
        kind, **{field.name: known.get(field.name, numbers.get(field.type, ...)) for field in fields(kind)}
    )


outcomes = every_field(InstanceOutcome, failure=st.none() | every_field(Failure))
results = every_field(
    TaskResult,
    regions=st.lists(every_field(RegionResult), max_size=3).map(tuple),
    outcomes=st.lists(outcomes, max_size=3).map(tuple),
    seconds=(seconds := st.dictionaries(st.sampled_from(["decode", "write"]), st.floats(0, 1e9))),
    syntax_seconds=st.dictionaries(st.sampled_from(["1.2.840.10008.1.2", "1.2"]), seconds),
)


def a_result(task: int) -> TaskResult:
    return TaskResult(
        task,
        (RegionResult(task, 0, 2, bytes(range(task, task + 16)), b"\1\0"),),
        (InstanceOutcome(task, "imagecodecs 1", "RGB"), InstanceOutcome(9, failure=Failure("timeout", "é\udc80\n", 3))),
        2,
        300,
        400,
        {"read": 0.25},
    )


def record(out: Path, *entries: TaskResult | int, plan: str = PLAN) -> Path:
    """Record tasks and (as numbers) images in a new segment; return its path."""
    with Ledger.open(OutputDir.of(out), plan) as book:
        for entry in entries:
            if isinstance(entry, int):
                book.append_image(entry)
            else:
                book.append(entry)
    return max((out / "ledger").iterdir())


@given(recorded=st.lists(results | st.integers(0, 99), max_size=6))
@settings(deadline=None, max_examples=40)
def test_what_is_recorded_is_read(recorded):
    expected = {entry.task: entry for entry in recorded if isinstance(entry, TaskResult)}
    images = frozenset(entry for entry in recorded if isinstance(entry, int))
    with TemporaryDirectory() as out:
        record(Path(out), *recorded)
        assert read(OutputDir.of(out), PLAN) == Finished(expected, images, dict.fromkeys(images, ""))


def test_nothing_recorded_is_nothing_finished(tmp_path):
    assert read(OutputDir.of(tmp_path)) == Finished()
    record(tmp_path)
    assert read(OutputDir.of(tmp_path)) == Finished()


def test_lines_are_json_with_a_checksum_of_the_record_as_it_stands(tmp_path):
    segment = record(tmp_path, a_result(1), 7)
    lines = segment.read_bytes().splitlines()
    assert [json.loads(line)["record"]["kind"] for line in lines] == ["ledger", "task", "image"]
    for line in lines:
        text = line[line.index(b'"record":') + len(b'"record":') : -1]
        assert json.loads(line)["crc32"] == f"{zlib.crc32(text):08x}"


def test_cut_at_any_byte_the_whole_lines_before_remain(tmp_path):
    segment = record(tmp_path, a_result(1), 5, a_result(2), a_result(3), 6)
    whole = segment.read_bytes()
    ends = [position + 1 for position, byte in enumerate(whole) if byte == ord("\n")]
    assert len(ends) == 6
    for length in range(len(whole) + 1):
        segment.write_bytes(whole[:length])
        lines = sum(end <= length for end in ends)
        tasks = {task: a_result(task) for line, task in ((2, 1), (4, 2), (5, 3)) if line <= lines}
        images = frozenset(image for line, image in ((3, 5), (6, 6)) if line <= lines)
        assert read(OutputDir.of(tmp_path), PLAN) == Finished(tasks, images, dict.fromkeys(images, "")), length


def test_after_a_cut_at_any_byte_a_new_run_goes_on(tmp_path):
    segment = record(tmp_path, a_result(1), a_result(2))
    whole = segment.read_bytes()
    for length in range(0, len(whole), 7):
        segment.write_bytes(whole[:length])
        later = record(tmp_path, a_result(2), a_result(3))
        finished = read(OutputDir.of(tmp_path), PLAN)
        assert {2, 3} <= finished.results.keys()
        assert not finished.damage
        assert segment.read_bytes() == whole[:length]
        later.unlink()


def test_a_tail_of_zeros_is_no_record_and_no_damage(tmp_path):
    segment = record(tmp_path, a_result(1))
    with segment.open("ab") as file:
        file.write(bytes(4096))
    assert read(OutputDir.of(tmp_path), PLAN) == Finished({1: a_result(1)})


def test_every_flipped_byte_is_noticed(tmp_path):
    entries = (a_result(1), 5, a_result(2))
    segment = record(tmp_path, *entries)
    whole = segment.read_bytes()
    for position in range(len(whole)):
        for flip in (0x01, 0x20, 0x80):
            segment.write_bytes(whole[:position] + bytes([whole[position] ^ flip]) + whole[position + 1 :])
            found = read(OutputDir.of(tmp_path), PLAN)
            assert found.results.items() <= {1: a_result(1), 2: a_result(2)}.items()
            assert found.images <= {5}
            # Only the very last newline can go without a whole line being wrong.
            last = position == len(whole) - 1
            assert bool(found.damage) != last
            assert len(found.results) + len(found.images) < len(entries)


def test_damage_in_the_middle_costs_only_its_record_and_is_reported(tmp_path):
    segment = record(tmp_path, a_result(1), a_result(2), a_result(3))
    lines = segment.read_bytes().splitlines(keepends=True)
    lines[2] = lines[2].replace(b'"task":2', b'"task":4')
    segment.write_bytes(b"".join(lines))
    found = read(OutputDir.of(tmp_path), PLAN)
    assert found.results == {1: a_result(1), 3: a_result(3)}
    assert found.damage == ("000001.jsonl, line 3: the checksum doesn't fit; its work is done again",)


def test_a_damaged_first_line_makes_its_segment_useless_but_no_other(tmp_path):
    first = record(tmp_path, a_result(1))
    record(tmp_path, a_result(2))
    first.write_bytes(first.read_bytes().replace(b'"plan"', b'"plam"'))
    found = read(OutputDir.of(tmp_path), PLAN)
    assert found.results == {2: a_result(2)}
    assert "000001.jsonl, line 1" in found.damage[0]


def test_the_work_of_another_plan_is_left_out_and_can_be_forgotten(tmp_path):
    record(tmp_path, a_result(1), 4, plan="other")
    record(tmp_path, a_result(2), 5)
    record(tmp_path, a_result(3), plan="third")
    assert read(OutputDir.of(tmp_path), PLAN) == Finished({2: a_result(2)}, frozenset({5}), {5: ""})
    assert list(ledger.results(OutputDir.of(tmp_path), PLAN)) == [a_result(2)]
    assert ledger.images(OutputDir.of(tmp_path), PLAN) == {5: ""}
    ledger.forget_others(OutputDir.of(tmp_path), PLAN)
    assert [path.name for path in (tmp_path / "ledger").iterdir()] == ["000002.jsonl"]
    assert record(tmp_path, a_result(3)).name == "000003.jsonl"


def test_a_later_version_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(ledger, "VERSION", 2)
    record(tmp_path, a_result(1))
    monkeypatch.undo()
    with pytest.raises(OutputError, match="version 2; this program reads version 1"):
        read(OutputDir.of(tmp_path))


def test_writers_side_by_side_never_share_a_segment(tmp_path):
    with Ledger.open(OutputDir.of(tmp_path), PLAN) as one, Ledger.open(OutputDir.of(tmp_path), PLAN) as other:
        one.append(a_result(1))
        other.append(a_result(2))
        one.append(a_result(3))
        # Readable while they write.
        assert read(OutputDir.of(tmp_path), PLAN).results.keys() == {1, 2, 3}
    assert sorted(path.name for path in (tmp_path / "ledger").iterdir()) == ["000001.jsonl", "000002.jsonl"]


def test_of_a_task_done_twice_the_later_record_counts(tmp_path):
    again = TaskResult(1, (), ())
    record(tmp_path, a_result(1))
    for _ in range(11):
        record(tmp_path, again)
    record(tmp_path, a_result(1), again)
    assert read(OutputDir.of(tmp_path)).results == {1: again}


def test_a_full_disk_is_an_error_and_the_ledger_stays_readable(tmp_path, monkeypatch):
    book = Ledger.open(OutputDir.of(tmp_path), PLAN)
    book.append(a_result(1))
    write = sys.modules["pipeline.storage.growing"]._write_all

    def fills_up(file, data):
        write(file, data[: len(data) // 2])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(sys.modules["pipeline.storage.growing"], "_write_all", fills_up)
    with pytest.raises(OutputError, match="No space left"):
        book.append(a_result(2))
    monkeypatch.undo()
    with pytest.raises(OutputError, match="closed"):
        book.append(a_result(3))
    book.close()
    assert read(OutputDir.of(tmp_path), PLAN) == Finished({1: a_result(1)})
    record(tmp_path, a_result(2))
    assert read(OutputDir.of(tmp_path), PLAN) == Finished({1: a_result(1), 2: a_result(2)})


def test_a_folder_that_cant_be_made_is_an_error(tmp_path):
    (tmp_path / "ledger").write_text("a file where the folder should be")
    with pytest.raises(OutputError, match="can't be written"):
        Ledger.open(OutputDir.of(tmp_path), PLAN)


def test_records_reach_the_disk_at_most_a_second_late_and_at_the_end(tmp_path, monkeypatch):
    now = [100.0]
    synced = []
    monkeypatch.setattr(ledger.time, "monotonic", lambda: now[0])
    monkeypatch.setattr("os.fsync", lambda _: synced.append(now[0]))
    book = Ledger.open(OutputDir.of(tmp_path), PLAN)
    started = len(synced)
    for step in range(1, 11):
        now[0] = 100 + step / 4
        book.append_image(step)
    assert synced[started:] == [101.0, 102.0]
    book.close()
    assert synced[started:] == [101.0, 102.0, 102.5]


def test_digests_of_images_and_files_come_back_the_last_ones_counting(tmp_path):
    for number in (1, 2):
        with Ledger.open(OutputDir.of(tmp_path), PLAN) as book:
            book.append_image(7, f"image{number}")
            book.append_image(8 + number)
            book.append_files({"catalog.parquet": (number, "abc"), f"plan/{number}": (0, "")})
    finished = read(OutputDir.of(tmp_path), PLAN)
    assert finished.image_digests == {7: "image2", 9: "", 10: ""}
    assert finished.images == frozenset({7, 9, 10})
    assert finished.files == {"catalog.parquet": (2, "abc"), "plan/2": (0, "")}


def test_remaining_are_the_tasks_without_a_result(tmp_path):
    tasks = tuple(Task(number, (), 0, 0, 0) for number in range(4))
    record(tmp_path, a_result(2), a_result(0), 1)
    outcomes = Outcomes(Plan((), (), tasks))
    for result in read(OutputDir.of(tmp_path)).results.values():
        outcomes.add(replace(result, regions=(), outcomes=()))
    assert outcomes.remaining == [tasks[1], tasks[3]]
