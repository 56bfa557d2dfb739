"""Two patients never share an image, whatever the UIDs say.

UIDs are removed, or the same are written into all files, and then they tell nothing. What is known of a file's patient
(:attr:`~pipeline.model.Instance.patient`) may contradict that of another one: both have a Patient ID, a name or a birth date,
and they differ. A file that lacks one contradicts nobody by it. That isn't transitive: a file without an ID fits to one with
the ID 1 and to one with the ID 2, which don't fit to each other. So the rule is: files may share an image where neither
contradicts the other, *and both contradict the same others*. A file that fits to one patient only goes with it; one that fits
to several, with none of them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Hashable

from pipeline.model import PATIENT_ATTRIBUTES, unpack_patient

Present = tuple[bool, ...]
"""Which of the attributes somebody has."""
Values = tuple[bytes, ...]


def divide(patients: Collection[bytes]) -> dict[bytes, Hashable]:
    """Return the party of each of some patients: those of one party contradict nobody in it, and all the same others.

    Patients who have the same attributes agree only where all are the same; of others, those decide that both have. So whom
    somebody agrees with is told by one look-up for each combination of attributes that occurs, which keeps this linear.
    """
    known = {patient: unpack_patient(patient) for patient in patients}
    by_present: defaultdict[Present, list[Values]] = defaultdict(list)
    for values in known.values():
        by_present[_present(values)].append(values)
    agreeing: dict[tuple[Present, Present], dict[Values, int]] = {}
    numbers: dict[frozenset[Values], int] = {}
    for others, members in by_present.items():
        for common in {_both(one, others) for one in by_present}:
            groups: defaultdict[Values, list[Values]] = defaultdict(list)
            for values in members:
                groups[_only(values, common)].append(values)
            agreeing[others, common] = {
                key: numbers.setdefault(frozenset(group), len(numbers)) for key, group in groups.items()
            }

    def party(values: Values) -> Hashable:
        mine = _present(values)
        pairs = ((others, _both(mine, others)) for others in by_present)
        return tuple(agreeing[others, common].get(_only(values, common)) for others, common in pairs)

    return {patient: party(values) for patient, values in known.items()}


def _present(values: Values) -> Present:
    return tuple(map(bool, values))


def _both(one: Present, other: Present) -> Present:
    return tuple(a and b for a, b in zip(one, other, strict=True))


def _only(values: Values, present: Present) -> Values:
    return tuple(value if there else b"" for value, there in zip(values, present, strict=True))


def differing(patients: Collection[bytes]) -> list[str]:
    """Return the names of the attributes by which some patients contradict each other."""
    values = [set(column) - {b""} for column in zip(*map(unpack_patient, patients), strict=True)]
    names = (name for name, found in zip(PATIENT_ATTRIBUTES, values, strict=True) if len(found) > 1)
    return list(dict.fromkeys(names))
