"""Equality: what must be the same before any figure means anything. Each check tells what it found."""

import math
import sys
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from random import Random

import polars as pl
from polars.testing import assert_frame_equal

from benchmarks.samples import SCORES, SEED, keep_person, read_citizens
from somv_risk import RiskModel, build_features, score
from somv_risk.cohort.asof import KEY
from somv_risk.registers import schema as s
from somv_risk.registers.histories import Histories
from somv_risk.simulate import simulate, simulate_store
from somv_risk.store import scan_store

TESTS = Path(__file__).parent.parent / "tests"
# The reference adds entropies and means in another order than the engine.
TOLERANCE = 1e-9
SAME_ALONE = ("risk", "percentile", "known_or_new", "unfinished_risk", "warnings")


def check_features_built_alone(histories: Histories, region: pl.DataFrame, count: int) -> str:
    """Check that persons built alone have the features they have in the region."""
    chosen = _draw_rows(region, count)
    alone = [
        build_features(keep_person(histories, person), chosen.filter(person_id=person).select(KEY)).collect()
        for person in chosen[s.PERSON_ID]
    ]
    assert_frame_equal(pl.concat(alone), chosen, check_exact=True)
    return f"The features of {count} persons built alone equal those built in the region, exactly."


def check_scores_of_one(model: RiskModel, data_end: datetime | None, folder: Path) -> str:
    """Check that citizens scored alone have the scores, and the flagged ones the reasons, of the region."""
    region = {row[s.PERSON_ID]: row for row in pl.read_parquet(folder / SCORES).iter_rows(named=True)}
    told = count = 0
    for tables in read_citizens(folder):
        expected = region[tables[s.PERSONS][s.PERSON_ID].item()]
        own = Histories({name: frame.lazy() for name, frame in tables.items()}, data_end=data_end)
        (alone,) = score(model, own, index_time=expected[s.INDEX_TIME], explain="all").to_dicts()
        same = [*SAME_ALONE, "reasons"] if expected["flagged"] else SAME_ALONE
        if any(alone[name] != expected[name] for name in same):
            raise AssertionError("A citizen scored alone differs from the same citizen in the region.")
        count, told = count + 1, told + expected["flagged"]
    return (
        f"Risk, percentile, new or known, and warnings of {count} citizens scored alone equal those of the "
        f"region, exactly; so do the reasons of the {told} of them who are flagged there."
    )


def check_against_reference(histories: Histories, region: pl.DataFrame, count: int) -> str:
    """Check features against the slow plain-Python reference of the tests, where that can be imported."""
    sys.path.append(str(TESTS))
    try:
        from reference import reference_features  # noqa: PLC0415 - a part of the tests, which may be absent
    except ImportError as error:
        return f"Not compared with the plain-Python reference: it cannot be imported ({error})."
    chosen = _draw_rows(region, count)
    for row in chosen.iter_rows(named=True):
        own = keep_person(histories, row[s.PERSON_ID])
        tables = {name: frame.collect().to_dicts() for name, frame in own.tables.items()}
        _compare(row, reference_features(tables, row[s.PERSON_ID], row[s.INDEX_TIME]))
    return (
        f"The features of {count} persons equal those of the plain-Python reference in `tests/reference.py` "
        f"(fractions to {TOLERANCE:.0e})."
    )


def _draw_rows(region: pl.DataFrame, count: int) -> pl.DataFrame:
    """Draw feature rows, half of them of persons who were in hospital in the past two years."""
    was_admitted = pl.col("days_since_discharge_730d").is_not_null()
    admitted, others = (
        region.filter(kept)[s.PERSON_ID].sort().to_list() for kept in (was_admitted, ~was_admitted)
    )
    random = Random(SEED)  # noqa: S311 - a sample, not a secret
    half = min(count // 2, len(admitted))
    chosen = random.sample(admitted, half) + random.sample(others, count - half)
    return region.filter(pl.col(s.PERSON_ID).is_in(chosen))


def _compare(found: Mapping[str, object], expected: Mapping[str, object]) -> None:
    different = [name for name, value in expected.items() if not _is_same(found[name], value)]
    if different:
        raise AssertionError(f"Features {different} differ from the plain-Python reference.")


def _is_same(one: object, other: object) -> bool:
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, rel_tol=TOLERANCE, abs_tol=TOLERANCE)
    return one == other


def check_region_made_in_other_ways(folder: Path, persons: int, seed: int) -> str:
    """Check that threads and buckets change nothing about a region."""
    in_memory = simulate(persons, seed)
    for threads, buckets in ((1, 1), (2, 1), (2, 5)):
        store = folder / f"check-{threads}-{buckets}"
        simulate_store(store, persons, seed, threads=threads, buckets=buckets)
        for name, frame in scan_store(store).tables.items():
            order = frame.collect_schema().names()
            assert_frame_equal(frame.collect().sort(order), in_memory.table(name).collect().sort(order))
    return (
        f"A region of {persons:,} persons is the same, row for row, in memory and as a store, on 1 and 2 "
        "threads, in 1 and 5 buckets."
    )
