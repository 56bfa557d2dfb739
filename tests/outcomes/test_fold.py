"""The fold, compared with a count frame by frame, for any order of results, any failures and any lost tasks."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.model import Failure, Instance, InstanceOutcome, PixelFormat, Plan, RegionResult, TaskResult
from pipeline.outcomes import Outcomes, row_outcomes
from pipeline.plan import Layout, make_plan, task_input

FORMAT = PixelFormat(4, 4, 1, "uint8", "MONOCHROME2")
LOST = Failure("worker_lost", "its worker was lost")


def instance(number: int, frames: int) -> Instance:
    return Instance(
        source=f"/in/{number}",
        size=100,
        mtime_ns=1,
        study_instance_uid="1",
        series_instance_uid="1.2",
        sop_instance_uid=f"1.2.{number}",
        modality="CT",
        transfer_syntax_uid="1.2.840.10008.1.2.1",
        format=FORMAT,
        number_of_frames=frames,
        encoded_bytes=16 * frames,
        segment=0,
        row=number,
        instance_number=number,
    )


@st.composite
def folded(draw: st.DrawFn) -> tuple[Plan, dict[int, TaskResult], dict[tuple[int, int], int], list[int]]:
    """Draw a plan, the results of its tasks except lost ones, which frames are stored (0 or 1), and an order of tasks."""
    counts = draw(st.lists(st.integers(1, 9), min_size=1, max_size=8))
    layout = Layout(shard_bytes=16 * draw(st.integers(1, 4)), task_bytes=draw(st.sampled_from([1, 100, 10**6])))
    plan = make_plan([instance(i, n) for i, n in enumerate(counts)], layout)
    bad = draw(st.dictionaries(st.integers(0, len(counts) - 1), st.booleans()))  # instance -> whether it is salvaged
    results: dict[int, TaskResult] = {}
    stored: dict[tuple[int, int], int] = {}
    for task in plan.tasks:
        regions, outcomes = [], {}
        for region in task_input(plan, task).regions:
            valid = bytearray()
            for placement in region.spec.placements:
                for frame in range(placement.start, placement.stop, placement.step):
                    fails = placement.instance in bad and draw(st.booleans())
                    valid.append(not fails)
                    outcomes.setdefault(
                        placement.instance, InstanceOutcome(placement.instance, decoder=f"d{task.id % 2}")
                    )
                    known = outcomes[placement.instance].failure
                    if fails and not known:
                        failure = Failure("decode_failed", "bad", frame, salvaged=bad[placement.instance])
                        outcomes[placement.instance] = replace(outcomes[placement.instance], failure=failure)
                    stored[placement.instance, frame] = int(not fails)
            own = region.region
            regions.append(
                RegionResult(own.image, own.start, own.stop, bytes(8 * len(valid)), bytes(valid), len(valid))
            )
        results[task.id] = TaskResult(task.id, tuple(regions), tuple(outcomes.values()), frames=1)
    for task in draw(st.sets(st.sampled_from(plan.tasks))):
        del results[task.id]
        for region in task_input(plan, task).regions:
            for placement in region.spec.placements:
                stored |= {
                    (placement.instance, frame): 0 for frame in range(placement.start, placement.stop, placement.step)
                }
    return plan, results, stored, draw(st.permutations([task.id for task in plan.tasks]))


def fold(plan: Plan, results: dict[int, TaskResult], order: list[int], **settings) -> tuple[Outcomes, list[int]]:
    outcomes, ended = Outcomes(plan, **settings), []
    for task in order:
        ended += outcomes.add(results[task]) if task in results else outcomes.lose(task, LOST)
    return outcomes, ended


@given(folded())
@settings(max_examples=150, deadline=None)
def test_outcomes_of_instances_and_images_follow_from_their_frames(case) -> None:
    plan, results, stored, order = case
    outcomes, ended = fold(plan, results, order)
    assert sorted(ended) == list(range(len(plan.images)))
    assert outcomes.remaining == []
    assert outcomes.lost == {task.id for task in plan.tasks} - results.keys()
    missing: Counter[int] = Counter()
    frames: Counter[int] = Counter()
    for (i, _), there in stored.items():
        frames[i] += 1
        missing[i] += not there
    failed = {i for i, count in missing.items() if count}
    assert outcomes.failures.keys() == failed
    salvageable = {o.instance for r in results.values() for o in r.outcomes if o.failure and o.failure.salvaged}
    wanted = {i: missing[i] for i in failed & salvageable if missing[i] < frames[i]}
    assert outcomes.salvaged == wanted
    for i in failed:
        seen = [o.failure.frame for r in results.values() for o in r.outcomes if o.instance == i and o.failure]
        assert outcomes.failures[i].frame == (min(seen) if seen else None)
    for n in range(len(plan.images)):
        members = outcomes.members(n)
        assert outcomes.without_frames(n) == {i for i in members if i in failed and i not in wanted}
        assert outcomes.is_empty(n) == all(i in failed and i not in wanted for i in members)
        assert outcomes.missing_frames(n) == sum(wanted.get(i, frames[i]) for i in members if i in failed)
    assert outcomes.work.tasks == len(results)
    assert sum(outcomes.image_bytes.values()) == sum(r.stored_bytes for one in results.values() for r in one.regions)


@given(folded())
@settings(max_examples=50, deadline=None)
def test_any_order_gives_the_same(case) -> None:
    plan, results, _, order = case
    shuffled, _ = fold(plan, results, order)
    straight, _ = fold(plan, results, sorted(order))
    for name in ("done", "lost", "salvaged", "decoders", "image_bytes", "seconds", "work"):
        assert getattr(shuffled, name) == getattr(straight, name), name
    assert shuffled.failures.keys() == straight.failures.keys()
    assert [shuffled.regions(n) for n in range(len(plan.images))] == [
        straight.regions(n) for n in range(len(plan.images))
    ]


@given(folded())
@settings(max_examples=50, deadline=None)
def test_frames_of_complete_images_are_kept_only_where_asked_for(case) -> None:
    plan, results, _, order = case
    complete = set(range(0, len(plan.images), 2))
    thrifty, _ = fold(plan, results, order, complete=set(complete))
    keeping, _ = fold(plan, results, order, complete=set(complete), keep_frames=True)
    reported = defaultdict(list)
    for result in results.values():
        for region in result.regions:
            reported[region.image].append(region)
    for n in range(len(plan.images)):
        wanted = sorted(reported[n], key=lambda region: region.start)
        assert keeping.regions(n) == wanted
        assert thrifty.regions(n) == ([] if n in complete else wanted)
        assert keeping.take_regions(n) == wanted
        assert keeping.regions(n) == []


@given(folded())
@settings(max_examples=50, deadline=None)
def test_an_image_that_cant_be_completed_fails_all_its_files(case) -> None:
    plan, results, _, order = case
    outcomes, _ = fold(plan, results, order)
    outcomes.complete |= set(range(1, len(plan.images)))
    failure = Failure("finalise_failed", "no")
    before = dict(outcomes.failures)
    outcomes.fail_image(0, failure)
    assert all(outcomes.failures[i] == before.get(i, failure) for i in outcomes.members(0))
    assert not outcomes.salvaged.keys() & outcomes.members(0)
    rows = row_outcomes(outcomes, {})
    assert {rows[0, i].status for i in outcomes.members(0)} == {"failed"}
    stored = {i for n in range(1, len(plan.images)) for i in outcomes.members(n) if i not in outcomes.failures}
    assert {i for (_, i), row in rows.items() if row.status == "converted"} == stored
