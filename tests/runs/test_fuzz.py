"""Mutants of real files through the whole pipeline: each has its row, and the pixels of a converted one are pydicom's."""

from __future__ import annotations

import pytest

from campaigns import fuzz
from campaigns.fuzzing.mutants import mutant
from runner import parse


def test_mutants_are_the_same_for_the_same_seed():
    files = fuzz.corpus(20_000)
    assert len(files) > 50
    made = [mutant(number, 3, files) for number in range(20)]
    assert made == [mutant(number, 3, files) for number in range(20)]
    assert len({data for _, data in made}) == 20
    assert not {data for _, data in made} & set(files)


@pytest.mark.filterwarnings("ignore")
def test_mutants_are_converted_as_pydicom_does_or_have_a_reason():
    found = fuzz.run(
        parse("campaigns", "fuzz", *["--mutants", "120", "--batch", "120", "--largest", "20000", "--seed", "3"])
    )
    assert found.problems == []
    assert sum(found.outcomes.values()) == 120
    assert found.verdicts["equal"] > 20
