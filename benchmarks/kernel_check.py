"""`python -m benchmarks.kernel_check STORE INDEX_TIME ...`: check the kernel against the library."""

import sys
from datetime import datetime
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import polars as pl

from benchmarks.equality import TESTS
from benchmarks.kernel import FEATURE_NAMES, build_matrix
from benchmarks.samples import SEED, keep_person
from somv_risk import build_features, make_cohort
from somv_risk.features import load_catalogue
from somv_risk.model.matrix import Encoding, Matrix
from somv_risk.registers import schema as s
from somv_risk.registers.histories import Histories
from somv_risk.store import scan_store

REFERENCE_PERSONS = 300
# Powers, logarithms and roots may differ in the last digit from one mathematical library to the next.
NEARLY_EQUAL = ("decayed", "entropy", "burstiness")
RELATIVE, ABSOLUTE = 1e-6, 1e-9


def check_against_library(store: Path, index_times: list[datetime]) -> str:
    """Check every number of every eligible person against `build_features` and `Encoding.to_matrix`."""
    histories = scan_store(store)
    encoding = Encoding(load_catalogue(), _list_categories(histories))
    if tuple(encoding.names) != FEATURE_NAMES:
        raise AssertionError("The kernel and the library do not have the same features.")
    rows = 0
    for index_time, (person_ids, found) in zip(index_times, build_matrix(store, index_times), strict=True):
        features = build_features(histories, make_cohort(histories, [index_time])).collect()
        order = person_ids.arg_sort()
        if not person_ids.gather(order).equals(features[s.PERSON_ID]):
            raise AssertionError("The kernel and the library have different cohorts.")
        _compare(found[order.to_numpy()], encoding.to_matrix(features))
        rows += features.height
    return f"The kernel's {len(FEATURE_NAMES)} features of {rows:,} rows equal the library's."


def check_against_reference(store: Path, index_times: list[datetime], count: int) -> str:
    """Check persons with much and with little history against the plain-Python reference of the tests."""
    sys.path.append(str(TESTS))
    from reference import reference_features  # noqa: PLC0415 - a part of the tests, which may be absent

    histories = scan_store(store)
    categories = _list_categories(histories)
    for index_time, (person_ids, found) in zip(index_times, build_matrix(store, index_times), strict=True):
        places = {person: place for place, person in enumerate(person_ids)}
        for person in _draw_persons(histories, places, count):
            own = keep_person(histories, person)
            tables = {name: frame.collect().to_dicts() for name, frame in own.tables.items()}
            expected = reference_features(tables, person, index_time)
            numbers = [_encode(name, expected[name], categories) for name in FEATURE_NAMES]
            _compare_nearly(found[places[person]], np.array(numbers, np.float32))
    return (
        f"The kernel's features of {count} persons equal the reference's at {len(index_times)} index times."
    )


def _list_categories(histories: Histories) -> dict[str, tuple[str, ...]]:
    persons = histories.persons.select(pl.col(s.SEX, s.MUNICIPALITY).cast(pl.String)).collect()
    return {name: tuple(persons[name].drop_nulls().unique().sort()) for name in persons.columns}


def _compare(found: Matrix, expected: Matrix) -> None:
    exact = [feature.definition.measure not in NEARLY_EQUAL for feature in load_catalogue()]
    different = ~_are_equal(found, expected)
    different[:, ~np.array(exact)] &= ~_are_near(found, expected)[:, ~np.array(exact)]
    _raise_if_any(different)


def _compare_nearly(found: Matrix, expected: Matrix) -> None:
    _raise_if_any(~_are_near(found, expected)[None])


def _are_equal(one: Matrix, other: Matrix) -> np.ndarray:
    return (one == other) | (np.isnan(one) & np.isnan(other))


def _are_near(one: Matrix, other: Matrix) -> np.ndarray:
    return np.isclose(one, other, rtol=RELATIVE, atol=ABSOLUTE, equal_nan=True)


def _raise_if_any(different: np.ndarray) -> None:
    if different.any():
        names = [
            name for name, is_wrong in zip(FEATURE_NAMES, different.any(axis=0), strict=True) if is_wrong
        ]
        raise AssertionError(f"The kernel differs in {names}.")


def _encode(name: str, value: Any, categories: dict[str, tuple[str, ...]]) -> float:  # noqa: ANN401 - a feature's
    if value is None:
        return float("nan")
    return float(categories[name].index(value) if name in categories else value)


def _draw_persons(histories: Histories, eligible: dict[str, int], count: int) -> list[str]:
    """Draw from each of the rarer tables, and from all."""
    tables = (s.ADMISSIONS, s.PSYCHIATRIC_CONTACTS, s.SUBSTANCE_ABUSE, s.SOCIAL_SERVICES, s.PERSONS)
    random = Random(SEED)  # noqa: S311 - a sample, not a secret
    drawn: dict[str, None] = {}
    for table in tables:
        ids = histories.table(table).select(pl.col(s.PERSON_ID).unique()).collect()[s.PERSON_ID].sort()
        among = [person for person in ids if person in eligible and person not in drawn]
        drawn |= dict.fromkeys(random.sample(among, min(count // len(tables), len(among))))
    return list(drawn)


def main() -> None:
    store, index_times = Path(sys.argv[1]), [datetime.fromisoformat(text) for text in sys.argv[2:]]
    print(check_against_library(store, index_times))
    print(check_against_reference(store, index_times, REFERENCE_PERSONS))


if __name__ == "__main__":
    main()
