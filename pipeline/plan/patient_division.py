"""Two patients never share an image, whatever the UIDs say.

UIDs may be removed, or replaced by the same UID in all files, and then they tell nothing apart. The attributes known of a
file's patient (:attr:`~pipeline.model.Instance.patient`) contradict those of another file if both have a Patient ID, a name or a
birth date, and the values differ. A missing attribute contradicts nothing. That isn't transitive: a file without an ID fits ID 1
and ID 2, which don't fit each other. So the rule is: two files may share an image if they don't contradict each other *and both
contradict the same others*. A file that fits one patient only goes with that patient; a file that fits several goes with none
of them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Hashable

from pipeline.model import PATIENT_ATTRIBUTES, unpack_patient

Present = tuple[bool, ...]
"""Which of the attributes are present."""
Values = tuple[bytes, ...]


def divide(patients: Collection[bytes]) -> dict[bytes, Hashable]:
    """Return the party of each patient: members of a party contradict nobody in it, and all contradict the same others.

    Patients with the same attributes agree only if all values are the same; others agree if the attributes that both have are
    the same. So one look-up per combination of present attributes finds everybody a patient agrees with, which keeps this linear.
    """
    known = {patient: unpack_patient(patient) for patient in patients}
    by_present: defaultdict[Present, list[Values]] = defaultdict(list)
    for values in known.values():
        by_present[_present(values)].append(values)
    agreeing: dict[tuple[Present, Present], dict[Values, int]] = {}
    numbers: dict[frozenset[Values], int] = {}
    for others, members in by_present.items():
        for common in {_both(present, others) for present in by_present}:
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


def _both(first: Present, second: Present) -> Present:
    return tuple(a and b for a, b in zip(first, second, strict=True))


def _only(values: Values, present: Present) -> Values:
    return tuple(value if there else b"" for value, there in zip(values, present, strict=True))


def find_conflicts(patients: Collection[bytes]) -> list[str]:
    """Return the names of the attributes in which some of the patients contradict each other."""
    values = [set(column) - {b""} for column in zip(*map(unpack_patient, patients), strict=True)]
    names = (name for name, found in zip(PATIENT_ATTRIBUTES, values, strict=True) if len(found) > 1)
    return list(dict.fromkeys(names))
