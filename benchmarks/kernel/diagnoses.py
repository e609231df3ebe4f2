"""Diagnoses: of hospital contacts, of `diagnoses` and of psychiatric contacts, by group; a group is a bit."""

import numpy as np

from benchmarks.kernel.columns import Column, compiled, find_column, find_single
from benchmarks.kernel.loading import GROUPS, Contacts, Diagnoses, Psychiatric
from benchmarks.kernel.measures import Integers, Row, count, count_bits, keep_least_age, keep_most_age, mark

_NO_COLUMN = Column(-1, np.zeros(1, np.int64), 0)


def _find_by_group(names: dict[str, str]) -> tuple[Column, ...]:
    """Find the column of each group, in the order of the bits; some groups have none."""
    return tuple(find_column(names[group]) if group in names else _NO_COLUMN for group in GROUPS)


_KNOWN_SINCE = tuple(group for group in GROUPS if group not in {"homelessness", "injury_poisoning"})
ANY_DIAGNOSIS = _find_by_group(
    {group: f"{group}_diagnosis" for group in GROUPS if group != "homelessness"}
    | {"homelessness": "homeless_diagnosis"}
)
DAYS_SINCE_FIRST = _find_by_group({group: f"days_since_first_{group}_diagnosis" for group in _KNOWN_SINCE})
HOSPITAL_CONTACTS = _find_by_group(
    {
        "alcohol": "alcohol_contacts",
        "drugs": "drug_contacts",
        "self_harm": "self_harm_contacts",
        "injury_poisoning": "injury_poisoning_contacts",
    }
)
DAYS_SINCE_HOSPITAL_CONTACT = _find_by_group(
    {"alcohol": "days_since_alcohol_contact", "drugs": "days_since_drug_contact"}
)
LONG_TERM_CONDITIONS = find_single("long_term_conditions")

LONG_TERM = sum(
    1 << GROUPS.index(group)
    for group in ("diabetes", "copd", "heart_failure", "renal", "liver", "epilepsy", "dementia")
)
# The groups of which hospital contacts are counted.
COUNTED = tuple(bit for bit, column in enumerate(HOSPITAL_CONTACTS) if column.first >= 0)
COUNTED_BITS = sum(1 << bit for bit in COUNTED)
UNSEEN = np.iinfo(np.int64).max


@compiled
def fill_diagnoses(
    row: Row,
    youngest: Integers,
    contacts: Contacts,
    diagnoses: Diagnoses,
    psychiatric: Psychiatric,
    person: int,
    index: int,
) -> None:
    """Fill from all three sources; `youngest` holds, by contact and group, the age of the last diagnosis."""
    met = 0
    for r in range(contacts.offsets[person], contacts.offsets[person + 1]):
        groups = contacts.groups[r]
        own = youngest[contacts.contact[r]]
        own[:] = UNSEEN
        if groups and contacts.known[r] < index and contacts.ended[r] < index:
            age = index - contacts.started[r]
            met |= _fill_diagnosis(row, groups, age)
            _keep_youngest(own, groups, age)
    for r in range(diagnoses.offsets[person], diagnoses.offsets[person + 1]):
        groups = diagnoses.groups[r]
        if groups and diagnoses.known[r] < index and diagnoses.ended[r] < index:
            age = index - diagnoses.started[r]
            met |= _fill_diagnosis(row, groups, age)
            # Where it is not a contact with a hospital, nobody will ask.
            _keep_youngest(youngest[diagnoses.contact[r]], groups, age)
    for r in range(psychiatric.offsets[person], psychiatric.offsets[person + 1]):
        groups = psychiatric.groups[r]
        if groups and psychiatric.known[r] < index and psychiatric.ended[r] < index:
            met |= _fill_diagnosis(row, groups, index - psychiatric.started[r])
    row[LONG_TERM_CONDITIONS.first] = count_bits(met & LONG_TERM)
    if met & COUNTED_BITS:
        for r in range(contacts.offsets[person], contacts.offsets[person + 1]):
            if contacts.known[r] < index:
                _fill_contact(row, youngest[contacts.contact[r]])


@compiled
def _fill_diagnosis(row: Row, groups: int, age: int) -> int:
    """Fill the groups of one diagnosis, and return them if it lies in the longest window."""
    if age > LONG_TERM_CONDITIONS.windows[0]:
        return 0
    for bit in range(len(GROUPS)):
        if groups >> bit & 1:
            mark(row, ANY_DIAGNOSIS[bit], age)
            if DAYS_SINCE_FIRST[bit].first >= 0:
                keep_most_age(row, DAYS_SINCE_FIRST[bit], age)
    return groups


@compiled
def _keep_youngest(youngest: Integers, groups: int, age: int) -> None:
    for place in range(len(COUNTED)):
        if groups >> COUNTED[place] & 1:
            youngest[place] = min(youngest[place], age)


@compiled
def _fill_contact(row: Row, youngest: Integers) -> None:
    """Fill what one hospital contact counts for; it may have had the same group several times."""
    for place in range(len(COUNTED)):
        age, bit = youngest[place], COUNTED[place]
        if age < UNSEEN:
            count(row, HOSPITAL_CONTACTS[bit], age)
            if DAYS_SINCE_HOSPITAL_CONTACT[bit].first >= 0:
                keep_least_age(row, DAYS_SINCE_HOSPITAL_CONTACT[bit], age)


if any(len(column.windows) > 1 for column in ANY_DIAGNOSIS):
    raise RuntimeError("A diagnosis is asked for over several windows. The kernel knows one.")
if any(column.windows[-1] > LONG_TERM_CONDITIONS.windows[0] for column in ANY_DIAGNOSIS + HOSPITAL_CONTACTS):
    raise RuntimeError("A window of diagnoses is longer than that of long-term conditions.")
