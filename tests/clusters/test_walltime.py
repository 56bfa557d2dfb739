"""Walltimes as each batch system reads them, and when workers retire."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import ConfigError
from pipeline.executors.clusters.walltime import lifetime, parse_walltime

HOUR = 3600


@pytest.mark.parametrize(
    ("kind", "text", "seconds"),
    [
        # as the manual of sbatch says of --time
        ("slurm", "30", 30 * 60),
        ("slurm", "30:15", 30 * 60 + 15),
        ("slurm", "01:30:00", 5400),
        ("slurm", "2-12", 60 * HOUR),
        ("slurm", "2-12:30", 60 * HOUR + 1800),
        ("slurm", "1-00:00:01", 24 * HOUR + 1),
        ("slurm", 90, 5400),
        # as the manual pbs_resources says of durations
        ("pbs", "90", 90),
        ("pbs", "100:00:00", 100 * HOUR),
        # as the manual sge_types says of times
        ("sge", "1:30", 90),
        # as the manual of bsub says of -W
        ("lsf", "90", 5400),
        ("lsf", "1:30", 5400),
        ("lsf", "1:30/fast", 5400),
        # as the manual of oarsub says of walltimes
        ("oar", "2", 2 * HOUR),
        ("oar", "0:30", 1800),
        ("oar", "00:30:01", 1801),
    ],
)
def test_each_batch_system_has_its_own_units(kind, text, seconds):
    assert parse_walltime(kind, text) == seconds


@pytest.mark.parametrize(
    ("kind", "text"),
    [("slurm", "1h"), ("slurm", "UNLIMITED"), ("pbs", "1-00"), ("lsf", "1:2:3"), ("oar", ""), ("sge", "0:0:0")],
)
def test_what_is_none(kind, text):
    with pytest.raises(ConfigError, match=r"cluster\.options\.walltime"):
        parse_walltime(kind, text)


@given(st.integers(1, 40 * 24 * HOUR))
def test_workers_retire_before_the_walltime_and_do_some_work(walltime):
    retire = lifetime(walltime)
    assert 0 <= retire.stagger < walltime
    assert retire.seconds + retire.stagger <= walltime - min(30, walltime // 4)
    assert retire.seconds - retire.stagger >= walltime // 4 - 1
    if walltime >= HOUR:
        assert retire.seconds - retire.stagger >= 0.85 * walltime
