"""Independent jobs leave the same result as one run, whatever happens to them."""

from __future__ import annotations

import pytest

from pipeline import catalog, runs
from pipeline.config import Cluster, RunConfig, from_dict
from pipeline.errors import OutputError
from pipeline.output import ledger
from pipeline.runs import conversion, partitions
from pipeline.runs.partitions import IncompleteError
from pipeline.storage import OutputDir
from support.varied_files import IN_SMALL_TASKS, Place

HERE = Cluster(kind="synchronous")


def config(place: Place, **output) -> RunConfig:
    return from_dict(
        {
            "source": {"paths": [str(place.folder)]},
            "output": {"path": str(place.out), "shard": 3000, **output},
            "cluster": IN_SMALL_TASKS,
        }
    )


@pytest.fixture
def whole(varied: Place) -> Place:
    """The result of one run, elsewhere."""
    undisturbed = varied.elsewhere("whole")
    undisturbed.convert()
    return undisturbed


def recorded(place: Place) -> list[int]:
    return [
        result.task
        for result in ledger.results(OutputDir.of(place.out), catalog.read_facts(OutputDir.of(place.out))["id"])
    ]


def kill(monkeypatch: pytest.MonkeyPatch, place: Place, number: int, *, after: int) -> None:
    """Convert a partition, and simulate the end of the process while it works on the task after this many others."""
    execute = conversion.execute
    left = iter(range(after))

    def die(step, job):
        if next(left, None) is None:
            raise KeyboardInterrupt
        return execute(step, job)

    with monkeypatch.context() as patch:
        patch.setattr(conversion, "execute", die)
        with pytest.raises(KeyboardInterrupt):
            runs.convert_partition(place.out, number)


def test_partitions_in_any_order_make_the_same_result_as_a_run(varied: Place, whole: Place) -> None:
    parts = runs.init(config(varied), partitions=8)
    assert len(parts) == 8
    for number in (5, 0, 7, 2, 1, 6, 3, 4):
        done = runs.convert_partition(varied.out, number)
        assert (done.exit_code, done.earlier) == (0, 0)
        assert not (varied.out / "catalog.parquet").exists()
    summary = runs.finalize(varied.out, cluster=HERE)
    assert varied.result() == whole.result()
    assert summary.exit_code == 1, "one file is damaged"
    assert sorted(recorded(varied)) == list(range(len(recorded(varied)))), "each task once"


def test_two_are_killed_and_one_is_forgotten(varied: Place, whole: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    parts = runs.init(config(varied), partitions=4)
    killed = [number for number, tasks in enumerate(parts.ranges) if len(tasks) > 1 and number != 1][:2]
    for number in range(4):
        if number in killed:
            kill(monkeypatch, varied, number, after=killed.index(number))
        elif number != 1:
            runs.convert_partition(varied.out, number)
    with pytest.raises(IncompleteError, match=r"partition \d \(\d of \d tasks\), .*--array=(\d),(\d),(\d), ") as told:
        runs.finalize(varied.out, cluster=HERE)
    assert set(told.value.partitions) == {1, *killed}
    assert told.value.reason == "incomplete"
    assert [runs.convert_partition(varied.out, number).earlier for number in killed] == [0, 1]
    with pytest.raises(IncompleteError, match="--array=1"):
        runs.finalize(varied.out, cluster=HERE)
    assert not (varied.out / "catalog.parquet").exists()
    assert not list((varied.out / "images.zarr").rglob("pixels/zarr.json")), "images are finalised last"
    runs.convert_partition(varied.out, 1)
    runs.finalize(varied.out, cluster=HERE)
    assert varied.result() == whole.result()
    assert sorted(recorded(varied)) == sorted(set(recorded(varied))), "no task was done twice"


def test_each_stage_can_be_repeated(varied: Place, whole: Place) -> None:
    for _ in range(2):
        runs.init(config(varied), partitions=2)
    for number in (0, 1, 0, 1):
        done = runs.convert_partition(varied.out, number)
    assert done.earlier == done.tasks
    for _ in range(2):
        runs.finalize(varied.out, cluster=HERE)
    assert varied.result() == whole.result()


def test_partitions_can_be_cut_again_midway(varied: Place, whole: Place) -> None:
    runs.init(config(varied), partitions=3)
    runs.convert_partition(varied.out, 1)
    parts = runs.init(config(varied), partition_bytes=1)
    assert len(parts) == sum(map(len, parts.ranges)) > 8
    for number in range(len(parts)):
        runs.convert_partition(varied.out, number)
    runs.finalize(varied.out, cluster=HERE)
    assert varied.result() == whole.result()


def test_a_run_goes_on_from_partitions(varied: Place, whole: Place) -> None:
    runs.init(config(varied), partitions=3)
    runs.convert_partition(varied.out, 1)
    runs.run(config(varied))
    assert varied.result() == whole.result()


@pytest.mark.parametrize("number", [-1, 2, 99])
def test_there_are_no_other_partitions(varied: Place, number: int) -> None:
    runs.init(config(varied), partitions=2)
    with pytest.raises(OutputError, match=f"has no partition {number}: there are 2, and they count from 0") as told:
        runs.convert_partition(varied.out, number)
    assert told.value.reason == "no_such_partition"


def test_without_init_there_is_nothing_to_convert(varied: Place, whole: Place) -> None:
    for out in (varied.out, whole.out):  # a folder that isn't there, and the result of a run
        for action in (lambda out=out: runs.convert_partition(out, 0), lambda out=out: runs.finalize(out)):
            with pytest.raises(OutputError, match="has no partitions; 'dcm2zarr init CONFIG'") as told:
                action()
            assert told.value.reason == "no_partitions"
    assert not varied.out.exists()


def test_one_at_a_time(varied: Place) -> None:
    runs.init(config(varied), partitions=2)
    with partitions.lock_partition(OutputDir.of(varied.out), 1):
        for action in (
            lambda: runs.convert_partition(varied.out, 1),
            lambda: runs.init(config(varied), partitions=3),
            lambda: runs.finalize(varied.out),
            lambda: runs.run(config(varied)),
        ):
            with pytest.raises(OutputError, match="partition-1") as told:
                action()
            assert told.value.reason == "in_use"
        assert runs.convert_partition(varied.out, 0).exit_code == 0


def test_settings_that_were_edited_meanwhile_are_refused(varied: Place) -> None:
    runs.init(config(varied), partitions=2)
    run = varied.out / "run.yaml"
    run.write_text(run.read_text("utf-8").replace("raw: false", "raw: true"), "utf-8")
    with pytest.raises(OutputError, match=r"decode\.raw was false and is true now"):
        runs.convert_partition(varied.out, 0)


def test_nothing_to_convert_has_no_partitions(tmp_path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "notes.txt").write_text("not DICOM", "utf-8")
    place = Place(tmp_path / "in", tmp_path / "out")
    assert len(runs.init(config(place), partitions=4)) == 0
    assert runs.finalize(place.out, cluster=HERE).count("rejected") == 1
